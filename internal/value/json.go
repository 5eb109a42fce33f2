package value

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// JSON returns a normalized value in the form that encoding/json prints for the
// command line: bytes that are valid UTF-8 as text, other bytes as
// {"b64":"…"}, a float always with a point or an exponent so that it is read
// back as a float, and those that JSON lacks as {"f64":"NaN"}.
func JSON(v any) any {
	switch v := v.(type) {
	case []byte:
		if utf8.Valid(v) {
			return string(v)
		}
		return map[string]any{"b64": base64.StdEncoding.EncodeToString(v)}
	case float64:
		text := strconv.FormatFloat(v, 'g', -1, 64)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return map[string]any{"f64": text}
		}
		if !strings.ContainsAny(text, ".e") {
			text += ".0"
		}
		return json.Number(text)
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = JSON(item)
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, item := range v {
			m[k] = JSON(item)
		}
		return m
	}
	return v
}

// FromJSON reads the form that JSON gives, and any other JSON text.
func FromJSON(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if dec.More() {
		return nil, fmt.Errorf("not JSON: more than one value")
	}
	v, err := fromJSON(v)
	if err != nil {
		return nil, err
	}
	return Normalize(v)
}

func fromJSON(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		return parseNumber(v.String())
	case []any:
		for i := range v {
			if v[i], err = fromJSON(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		if len(v) == 1 {
			if text, ok := v["b64"].(string); ok {
				return base64.StdEncoding.DecodeString(text)
			}
			if text, ok := v["f64"].(string); ok {
				return strconv.ParseFloat(text, 64)
			}
		}
		for k := range v {
			if v[k], err = fromJSON(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func parseNumber(text string) (any, error) {
	if !strings.ContainsAny(text, ".eE") {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return i, nil
		}
		if u, err := strconv.ParseUint(text, 10, 64); err == nil {
			return u, nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("number %s is out of range", text)
	}
	return f, nil
}
