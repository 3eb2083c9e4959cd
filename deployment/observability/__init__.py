"""Makes what Prometheus, Grafana and an OpenTelemetry collector are told, all from one source."""
