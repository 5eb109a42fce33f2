package chord

import "github.com/p2p-today/go2p/internal/metrics"

// newMetrics returns the counters and what else can be measured.
func newMetrics(network string, n *node, c *coordinator) *metrics.Set {
	gauge := func(f func(Status) float64) func() float64 {
		return func() float64 {
			var s Status
			n.status(&s)
			return f(s)
		}
	}
	s := metrics.New("chord", network)
	s.Counter("questions_total", "Questions of other peers.", &n.questions)
	s.Counter("repairs_total", "Replicas that were given what they lacked, by reads of this peer.", &c.repairs)
	s.Gauge("keys", "Keys that are stored here.", gauge(func(s Status) float64 { return float64(s.Keys) }))
	s.Gauge("bytes", "What counts towards the limit.", gauge(func(s Status) float64 { return float64(s.Bytes) }))
	s.Gauge("known_peers", "Peers that store, or did.", gauge(func(s Status) float64 { return float64(s.Known) }))
	return s
}
