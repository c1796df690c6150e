package main

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Names of the limits, in Redis and in the fields of responses.
const (
	requests = "requests"
	tokens   = "tokens"
)

// gateway passes chats on to a model, within limits.
type gateway struct {
	limiter  *slidingwindow.Limiter
	key      echomw.Keyer
	tokens   int64 // the Max of that limit
	upstream string
}

// settings are those of a gateway.
type settings struct {
	upstream string   // the URL of the model
	keys     []string // the API keys of customers
	secret   []byte   // hashes the keys on their way to Redis: 16 bytes or more

	requests, tokens int64
	window           time.Duration
}

func newGateway(store slidingwindow.Store, s *settings) (http.Handler, error) {
	limiter, err := slidingwindow.New(store,
		slidingwindow.Limit{Name: requests, Max: s.requests, Window: s.window},
		slidingwindow.Limit{Name: tokens, Max: s.tokens, Window: s.window})
	if err != nil {
		return nil, err
	}
	g := &gateway{
		limiter:  limiter,
		key:      echomw.Hashed(s.secret, echomw.KeyByHeader(echo.HeaderAuthorization)),
		tokens:   s.tokens,
		upstream: s.upstream,
	}
	limit, err := echomw.Config{
		Limiter:        limiter,
		Key:            g.key,
		Costs:          g.estimate,
		Units:          map[string]string{tokens: tokens},
		RefusalHandler: refuse,
	}.ToMiddleware()
	if err != nil {
		return nil, err
	}
	e := echo.New()
	v1 := e.Group("/v1", authenticate(s.keys))
	v1.POST("/chat/completions", g.complete, parse, limit)
	v1.GET("/limits", g.limits)
	return e, nil
}

// estimate is what a chat takes before it is answered.
func (g *gateway) estimate(c echo.Context) (slidingwindow.Cost, error) {
	estimate := chatOf(c).boundTo(g.tokens)
	if estimate > g.tokens {
		return nil, echo.NewHTTPError(http.StatusBadRequest,
			fmt.Sprintf("prompt and answer have about %d tokens at least; allowed: %d", estimate, g.tokens))
	}
	return slidingwindow.Cost{requests: 1, tokens: estimate}, nil
}

// limits tells where the API key stands, and takes nothing.
func (g *gateway) limits(c echo.Context) error {
	key, err := g.key.Key(c)
	if err != nil {
		return err
	}
	d, err := g.limiter.Peek(c.Request().Context(), key)
	if err != nil {
		return echo.NewHTTPError(http.StatusServiceUnavailable).SetInternal(err)
	}
	tellLimits(c.Response().Header(), &d)
	return c.NoContent(http.StatusNoContent)
}

// authenticate lets requests through that have one of the keys. A key that anybody can make up
// would be a new quota for each.
func authenticate(keys []string) echo.MiddlewareFunc {
	known := make(map[[sha256.Size]byte]bool, len(keys))
	for _, key := range keys {
		known[sha256.Sum256([]byte(key))] = true
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			key, bearer := strings.CutPrefix(c.Request().Header.Get(echo.HeaderAuthorization), "Bearer ")
			if !bearer || !known[sha256.Sum256([]byte(key))] {
				c.Response().Header().Set(echo.HeaderWWWAuthenticate, "Bearer")
				return echo.NewHTTPError(http.StatusUnauthorized, "a known API key is needed, as in Authorization: Bearer KEY")
			}
			return next(c)
		}
	}
}
