module github.com/seed-e8747a6b/ratelimit/echomw/echov5

go 1.26.0

require (
	github.com/labstack/echo/v5 v5.4.5
	github.com/seed-e8747a6b/ratelimit v0.0.0
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/dunglas/httpsfv v1.1.2 // indirect
	github.com/hashicorp/golang-lru/v2 v2.0.7 // indirect
	github.com/redis/rueidis v1.0.79 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

replace github.com/seed-e8747a6b/ratelimit => ../..
