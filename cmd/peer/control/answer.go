package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/p2p-today/go2p/mesh"
)

const (
	maxRequest     = 2 * mesh.MaxMessage // base64 makes four bytes of three
	defaultTimeout = 10 * time.Second
)

// answer returns a handler that reads a request, calls f with the time limit of the client, and writes the result.
func answer[Q, A any](f func(context.Context, Q) (A, error)) http.HandlerFunc {
	return answerUpTo(maxRequest, f)
}

// answerUpTo is answer for requests of at most limit bytes.
func answerUpTo[Q, A any](limit int64, f func(context.Context, Q) (A, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := decode[Q](w, r, limit)
		if err != nil {
			fail(w, err)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), timeout(r))
		defer cancel()
		a, err := f(ctx, q)
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(a)
	}
}

// stream returns a handler that reads a request and calls f, which writes JSON Lines or an error.
func stream[Q any](f func(http.ResponseWriter, *http.Request, Q)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := decode[Q](w, r, maxRequest)
		if err != nil {
			fail(w, err)
			return
		}
		io.Copy(io.Discard, r.Body) // the server notices that the client is gone only after the end of the body
		f(w, r, q)
	}
}

// decode reads the request in the body of a POST.
func decode[Q any](w http.ResponseWriter, r *http.Request, limit int64) (q Q, err error) {
	if r.Method != http.MethodPost {
		return q, nil
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit)).Decode(&q); err != nil {
		return q, badRequest(err)
	}
	return q, nil
}

// timeout returns a little less than the time limit of the client, so that the client gets the reason.
func timeout(r *http.Request) time.Duration {
	d, err := time.ParseDuration(r.Header.Get(TimeoutHeader))
	if err != nil {
		d = defaultTimeout
	}
	return d * 19 / 20
}

func fail(w http.ResponseWriter, err error) {
	e := toError(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Code.status())
	json.NewEncoder(w).Encode(e)
}

func badRequest(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return mesh.ErrTooLarge
	}
	return &Error{Text: err.Error(), Code: CodeBadRequest}
}
