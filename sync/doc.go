// Package sync is to be the leased dictionary: all members of a network hold it whole,
// and a key belongs to its writer for a lease. What is here so far are its rules and
// its store; nothing is exported that could be used yet:
//
//	lease.go      who may write a key, and how long a lease runs
//	record.go     what is kept of a key, and which of two records stays
//	replica.go    what an event changes; there are no tombstones
//	seen.go       which events a replica knows of
//	tree.go       the records in order, with a fingerprint of any range
//	proof.go      many records under one signature, each provable by itself
//	reconcile.go  how two replicas find what differs between them
//	wire.go       the bytes of that
//	store.go      all of it on disk
package sync
