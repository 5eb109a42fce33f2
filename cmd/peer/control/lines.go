package control

import (
	"encoding/json"
	"net/http"
)

// lines writes JSON Lines as an answer.
type lines struct {
	enc  *json.Encoder
	ctrl *http.ResponseController
}

func newLines(w http.ResponseWriter) *lines {
	w.Header().Set("Content-Type", "application/x-ndjson")
	l := &lines{json.NewEncoder(w), http.NewResponseController(w)}
	l.ctrl.Flush() // the client sees that the answer has begun
	return l
}

// write writes one line, and reports whether the client is still there. If more lines follow at once, the line may wait
// for them.
func (l *lines) write(v any, more bool) bool {
	return l.enc.Encode(v) == nil && (more || l.ctrl.Flush() == nil)
}
