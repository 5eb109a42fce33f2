package control

import (
	"encoding/json"
	"net/http"
)

// lines writes JSON Lines.
type lines struct {
	enc  *json.Encoder
	ctrl *http.ResponseController
}

func newLines(w http.ResponseWriter) *lines {
	w.Header().Set("Content-Type", "application/x-ndjson")
	l := &lines{json.NewEncoder(w), http.NewResponseController(w)}
	l.ctrl.Flush() // the client knows that it is served
	return l
}

// write reports whether the client is still there. While there is more to write at once, the line may wait for it.
func (l *lines) write(v any, more bool) bool {
	return l.enc.Encode(v) == nil && (more || l.ctrl.Flush() == nil)
}
