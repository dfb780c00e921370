package telemetry

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestBuildInfoIsOneWithTheVersion(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	BuildInfo(reg, "1.2.3")
	families, err := reg.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "sluice_build_info" {
		t.Fatalf("Gather = %v, %v, want sluice_build_info", families, err)
	}
	metric := families[0].GetMetric()[0]
	if metric.GetGauge().GetValue() != 1 {
		t.Errorf("value = %v, want 1", metric.GetGauge().GetValue())
	}
	labels := map[string]string{}
	for _, l := range metric.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	if labels["version"] != "1.2.3" || labels["goversion"] == "" || labels["revision"] == "" {
		t.Errorf("labels = %v", labels)
	}
}
