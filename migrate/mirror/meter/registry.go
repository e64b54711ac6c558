package meter

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/regferry/regferry/migrate/mirror"
)

// Registry is a registry of its own, with all that /metrics shows: m, what
// status says, and the process and the Go runtime.
func Registry(m *Meter, status func() mirror.Status) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(m, Status(status), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}
