package mesh_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/p2p-today/go2p/internal/meshtest"
	"github.com/p2p-today/go2p/internal/testnet"
	"github.com/p2p-today/go2p/mesh"
)

func TestMetrics(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		reg := prometheus.NewPedanticRegistry()
		l := bareLab(t, seed, 2)
		m := l.Join(0, "lab", &mesh.Options{Registerer: reg})
		l.Join(1, "lab", nil)
		l.Connect(1, 0)
		if err := l.Meshes[1].Whisper(l.Ctx(), m.ID(), "x"); err != nil {
			t.Fatal(err)
		}
		meshtest.Pass(time.Second)
		const want = `
# HELP go2p_mesh_neighbours Members connected.
# TYPE go2p_mesh_neighbours gauge
go2p_mesh_neighbours{network="lab"} 1
# HELP go2p_mesh_received_total Messages handed to the handlers.
# TYPE go2p_mesh_received_total counter
go2p_mesh_received_total{kind="broadcast",network="lab"} 0
go2p_mesh_received_total{kind="whisper",network="lab"} 1
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want),
			"go2p_mesh_neighbours", "go2p_mesh_received_total"); err != nil {
			t.Error(err)
		}
		m.Close()
		if families, err := reg.Gather(); err != nil || len(families) != 0 {
			t.Errorf("after Close: %v, %v", families, err)
		}
	})
}
