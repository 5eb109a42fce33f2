// Package replica decides what a replica of a dictionary holds, and touches nothing.
//
// A [Record] is what is said of a key (record.go), a lease who may say it (lease.go). A
// [Replica] keeps the living records in a tree with fingerprints (tree.go) and the set of
// all events that it has seen (seen.go). Records travel in a [Batch], under one signature
// (proof.go). Two replicas find what differs between them in a [Reconciliation]
// (reconcile.go), whose messages wire.go writes and reads. [Rows] are what a replica is
// stored as (rows.go).
package replica
