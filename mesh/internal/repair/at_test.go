package repair

import "time"

// at is a moment of a story, in milliseconds from its start.
func at(ms int) time.Time { return time.UnixMilli(int64(ms)) }
