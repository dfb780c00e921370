package telemetry

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// BuildInfo registers sluice_build_info: constantly 1, with what this binary is as labels.
func BuildInfo(reg prometheus.Registerer, version string) {
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sluice_build_info",
		Help: "Constantly 1, labelled with the version of Sluice, its commit and the version of Go it was built with.",
		ConstLabels: prometheus.Labels{
			"version":   version,
			"revision":  Revision(),
			"goversion": runtime.Version(),
		},
	}, func() float64 { return 1 }))
}

// Revision returns the commit this binary was built from, with "+dirty" when files had changed; "unknown" if the Go
// tool did not record it.
func Revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, dirty := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	return revision + dirty
}
