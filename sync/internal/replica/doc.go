// Package replica decides what a replica of a dictionary holds, and touches nothing.
//
// A [Record] is what is written about a key (record.go). A [Lease] says who may write the key
// (lease.go). A [Replica] keeps the living records in a tree with fingerprints (tree.go), and
// the set of all events that it has seen (seen.go). Records travel in a [Batch] under one
// signature (proof.go).
//
// A [Reconciliation] finds what differs between two replicas (reconcile.go). Its messages are
// encoded in wire.go. [Rows] are the rows of a replica in a store (rows.go).
package replica
