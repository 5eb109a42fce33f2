package compat

// An Observer is shown what happens to a node, in order. Its functions are called with the node's lock held: they must
// not block, and must not call the node, except ID. They may be called before the constructor of the node returns. A
// nil function is not called.
type Observer struct {
	Message  func(Message)
	Change   func(Change)
	Event    func(Event)
	Conflict func(WriteConflict)
	Notice   func(KeyNotice)
	Presence func(Presence)
}
