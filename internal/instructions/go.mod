module github.com/seed-e8747a6b/ratelimit/internal/instructions

go 1.26.0

replace github.com/seed-e8747a6b/ratelimit => ../..

require (
	github.com/redis/rueidis v1.0.79
	github.com/redis/rueidis/rueidislimiter v1.0.76
	github.com/seed-e8747a6b/ratelimit v0.0.0-00010101000000-000000000000
	github.com/stretchr/testify v1.12.1
)

require (
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	golang.org/x/sys v0.50.0 // indirect
)
