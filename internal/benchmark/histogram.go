package main

import (
	"math/bits"
	"time"
)

const (
	subBits    = 5 // 32 buckets for each doubling: 3 % wide
	subBuckets = 1 << subBits
	buckets    = (64 - subBits) * subBuckets
)

// histogram counts durations in buckets that grow with them. The zero value is empty. It is
// for one goroutine.
type histogram [buckets]uint32

func bucketOf(d time.Duration) int {
	v := uint64(max(0, d))
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - subBits
	return (shift+1)*subBuckets + int(v>>shift)&(subBuckets-1)
}

// upperEnd is the longest duration of a bucket.
func upperEnd(bucket int) time.Duration {
	if bucket < subBuckets {
		return time.Duration(bucket)
	}
	shift := bucket/subBuckets - 1
	return time.Duration(uint64(subBuckets+bucket%subBuckets+1)<<shift - 1)
}

func (h *histogram) add(d time.Duration) { h[bucketOf(d)]++ }

func (h *histogram) merge(other *histogram) {
	for i, n := range other {
		h[i] += n
	}
}

// quantile is the duration that a share q of all does not exceed, to the width of a bucket;
// 0 when there is none.
func (h *histogram) quantile(q float64) time.Duration {
	total := uint64(0)
	for _, n := range h {
		total += uint64(n)
	}
	rank := uint64(q * float64(total))
	seen := uint64(0)
	for i, n := range h {
		if seen += uint64(n); n > 0 && seen > rank || seen == total && total > 0 {
			return upperEnd(i)
		}
	}
	return 0
}
