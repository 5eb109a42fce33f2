// Package metrics exports the counters of a part of go2p to a Prometheus registerer.
package metrics

import (
	"fmt"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// A Set is the metrics of one subsystem in one network, all named go2p_SUBSYSTEM_….
type Set struct {
	subsystem, network string
	collectors         []prometheus.Collector
	registered         []prometheus.Collector
}

// New returns an empty set.
func New(subsystem, network string) *Set { return &Set{subsystem: subsystem, network: network} }

// Counter adds a counter. The labels are pairs of name and value, beside that of the network.
func (s *Set) Counter(name, help string, n *atomic.Uint64, labels ...string) {
	all := prometheus.Labels{"network": s.network}
	for i := 0; i+1 < len(labels); i += 2 {
		all[labels[i]] = labels[i+1]
	}
	s.collectors = append(s.collectors, prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "go2p", Subsystem: s.subsystem, Name: name, Help: help, ConstLabels: all,
	}, func() float64 { return float64(n.Load()) }))
}

// Gauge adds a gauge.
func (s *Set) Gauge(name, help string, f func() float64) {
	s.collectors = append(s.collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "go2p", Subsystem: s.subsystem, Name: name, Help: help, ConstLabels: prometheus.Labels{"network": s.network},
	}, f))
}

// Register registers the set. It does nothing if r is nil. After an error, Unregister
// removes what was registered.
func (s *Set) Register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range s.collectors {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
		s.registered = append(s.registered, c)
	}
	return nil
}

// Unregister removes from r what Register has registered.
func (s *Set) Unregister(r prometheus.Registerer) {
	for _, c := range s.registered {
		r.Unregister(c)
	}
	s.registered = nil
}
