package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed rules.yml
var rules []byte

//go:embed dashboard.json
var dashboard []byte

// query is an expression of the alerts or of the dashboard.
type query struct {
	of      string // the alert or the panel
	expr    string
	outages bool // it has data in an outage only
}

// queries are those of the alerts and of the dashboard. Alerts that page somebody are of outages.
func queries() (all []query, err error) {
	var alerts struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Labels      struct{ Severity string }
			}
		}
	}
	if err := yaml.Unmarshal(rules, &alerts); err != nil {
		return nil, fmt.Errorf("rules.yml: %w", err)
	}
	for _, group := range alerts.Groups {
		for _, rule := range group.Rules {
			all = append(all, query{"alert " + rule.Alert, rule.Expr, rule.Labels.Severity == "page"})
		}
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(dashboard, &board); err != nil {
		return nil, fmt.Errorf("dashboard.json: %w", err)
	}
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			// Grafana puts four scrapes or more in its place.
			all = append(all, query{"panel " + panel.Title, strings.ReplaceAll(target.Expr, "$__rate_interval", "30s"), false})
		}
	}
	return all, nil
}
