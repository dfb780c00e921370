package telemetry

import (
	"errors"
	"fmt"
	"net/url"
)

// Config is the section `telemetry:` of the configuration file.
type Config struct {
	LogLevel     string  `yaml:"log_level" doc:"What is logged at least: debug, info, warn or error."`
	LogFormat    string  `yaml:"log_format" doc:"auto (console on a terminal, json elsewhere), json or console."`
	OTLPEndpoint string  `yaml:"otlp_endpoint" config:"hidden" doc:"Collector that gets traces by OTLP/HTTP, such as http://localhost:4318. Empty: OTEL_EXPORTER_OTLP_ENDPOINT; without that there are none."`
	TraceSample  float64 `yaml:"trace_sample" doc:"Share of new traces to keep, above 0 and up to 1. 0: as OTEL_TRACES_SAMPLER says, and all without it."`
}

// Defaults returns the section as it is when left out.
func Defaults() Config { return Config{LogLevel: "info", LogFormat: FormatAuto} }

// Validate returns everything that is wrong with the section, each as "path: what is wrong, what to do".
func (c Config) Validate() []error {
	var problems []error
	if _, err := parseLevel(c.LogLevel); err != nil {
		problems = append(problems, fmt.Errorf("telemetry.log_level: %w", err))
	}
	if _, err := newEncoder(c.LogFormat, false); err != nil {
		problems = append(problems, fmt.Errorf("telemetry.log_format: %w", err))
	}
	if err := checkCollector(c.OTLPEndpoint); err != nil {
		problems = append(problems, fmt.Errorf("telemetry.otlp_endpoint: %w", err))
	}
	if !(c.TraceSample >= 0 && c.TraceSample <= 1) {
		problems = append(problems, fmt.Errorf("telemetry.trace_sample: %v: want 0 to 1", c.TraceSample))
	}
	return problems
}

func checkCollector(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	// The URL may carry credentials, so it is not quoted.
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("want a URL such as http://localhost:4318")
	}
	return nil
}
