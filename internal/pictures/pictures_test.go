package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
)

const root = "../.."

func TestPicturesAreThoseOfTheData(t *testing.T) {
	t.Parallel()
	pictures, err := drawAll(root)
	require.NoError(t, err)
	assert.Len(t, pictures, 8)
	for name, svg := range pictures {
		committed, err := os.ReadFile(filepath.Join(root, outDir, name))
		require.NoError(t, err)
		assert.True(t, string(committed) == svg, "%s is not what its data make: run make pictures", name)
	}
}

func TestPicturesAreXMLOfFiniteNumbers(t *testing.T) {
	t.Parallel()
	pictures, err := drawAll(root)
	require.NoError(t, err)
	for name, svg := range pictures {
		assert.NotContains(t, svg, "NaN", name)
		assert.NotContains(t, svg, "Inf", name)
		assert.NotContains(t, svg, "%!", name)
		decoder := xml.NewDecoder(strings.NewReader(svg))
		for {
			_, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, name)
		}
	}
}

// What the picture of the edge burst says, its data show.
func TestTheEdgeBurstWasLetThroughByTheFixedWindowOnly(t *testing.T) {
	t.Parallel()
	hits, err := readEdge("edge.csv")
	require.NoError(t, err)
	require.Len(t, hits[fixed], len(edgeTimes()))
	require.Len(t, hits[ours], len(edgeTimes()))
	assert.Greater(t, mostUsed(hits[fixed]), edgeMax)
	assert.Equal(t, edgeMax, mostUsed(hits[ours]))
}

// What the picture of the outage says, its data show.
func TestEachPolicyAnsweredTheOutageInItsWay(t *testing.T) {
	t.Parallel()
	o, err := readOutage("outage.csv")
	require.NoError(t, err)
	require.Greater(t, o.ended, o.began)
	meanwhile := map[guard.Policy][]string{
		guard.Closed:   {seenError},
		guard.Open:     {seenUncounted},
		guard.Fallback: {seenFallbackAllowed, seenFallbackRefused},
	}
	for policy, answers := range meanwhile {
		calls := o.calls[string(policy)]
		require.Len(t, calls, int(outageLength/outageEvery))
		for _, call := range calls {
			switch {
			case call.at < o.began-0.5:
				assert.Contains(t, []string{seenAllowed, seenRefused}, call.what, "%s at %v", policy, call.at)
			case call.at > o.began+0.5 && call.at < o.ended:
				assert.Contains(t, answers, call.what, "%s at %v", policy, call.at)
			}
		}
		assert.Contains(t, []string{seenAllowed, seenRefused}, calls[len(calls)-1].what, "%s is back", policy)
	}
}

func TestNamesAreMovedApart(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []float64{10, 20, 30}, apart([]float64{10, 11, 12}, 10, 0, 100))
	assert.Equal(t, []float64{5, 90, 100}, apart([]float64{5, 99, 100}, 10, 0, 100))
	assert.Equal(t, []float64{10, 50}, apart([]float64{2, 50}, 10, 10, 100))
}
