// Package home decides what a node stores of the keys that it is a replica of: which
// version of a key stands, what was promised, when a deletion is forgotten, and what has
// changed lately. It has no values and no disk; the package chord keeps both.
package home
