package httplimit

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/dunglas/httpsfv"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Another limiter, such as that of the service behind a gateway, may write to the same
// fields. Only then are its lines read.

// otherName names an item of RateLimit that was made from another limiter's Dictionary, where
// limits have no names.
const otherName = "other"

// merge puts our lines, and what others have written to the same fields, into the header. Lists are
// joined. Fields with room for one limit show the tighter one. The form is that of our formats, and
// what a client could not parse in that form is left out. merge returns those of our lines that are
// in the header unchanged.
func merge(h http.Header, ours []headerLine, s summary, turns []turn) []headerLine {
	replaced := map[string]bool{}
	replace := func(field string, values ...string) {
		h[field], replaced[field] = values, true
	}
	has := func(field string) bool {
		return slices.ContainsFunc(ours, func(line headerLine) bool { return line.field == field })
	}
	for _, group := range [...]struct {
		fields [3]string
		reset  func() int64
	}{
		{[...]string{fieldLimit, fieldRemaining, fieldReset}, func() int64 { return ceilSeconds(waitOf(&s.tightest)) }},
		{[...]string{fieldLegacyLimit, fieldLegacyRemaining, fieldLegacyReset}, func() int64 { return ceilUnix(turns[s.turn].at.Add(waitOf(&s.tightest))) }},
	} {
		if !has(group.fields[1]) || s.refused {
			continue
		}
		our := standing{remaining: s.tightest.Remaining, reset: group.reset()}
		if theirs, tighter := tighterGroup(h, group.fields, our); tighter {
			for i, field := range group.fields {
				replace(field, theirs[i])
			}
		}
	}
	switch policies := policiesOf(h[fieldPolicy]); {
	case s.formats&HeadersDraft11 != 0:
		standings, theirsWon := mergeStandings(standingsOf(h[fieldRateLimit], nil, s.retryAfter), s.standings(turns))
		replace(fieldRateLimit, joined(standings, func(s standing) string { return s.text })...)
		all := mergePolicies(policies, s.policies(turns), theirsWon)
		replace(fieldPolicy, joined(all, func(p policy) string { return p.text })...)
	case has(fieldPolicy):
		if theirs := tightestStanding(standingsOf(h[fieldRateLimit], policies, 0)); theirs != nil && theirs.limit >= 0 && !s.refused && has(fieldRateLimit) {
			if theirs.isTighter(&standing{remaining: s.tightest.Remaining, reset: ceilSeconds(waitOf(&s.tightest))}) {
				replace(fieldRateLimit, theirs.dictionary())
			}
		}
		policies := integerPolicies(h[fieldPolicy])
		for _, line := range ours {
			if line.field == fieldPolicy && !slices.Contains(policies, line.value[0]) {
				policies = append(policies, line.value[0])
			}
		}
		replace(fieldPolicy, policies...)
	}
	kept := slices.DeleteFunc(ours, func(line headerLine) bool { return replaced[line.field] })
	setLines(h, kept)
	return kept
}

// joined returns one line with the List of these members, or no line if there are none.
func joined[T any](members []T, text func(T) string) []string {
	if len(members) == 0 {
		return nil
	}
	texts := make([]string, len(members))
	for i, member := range members {
		texts[i] = text(member)
	}
	return []string{strings.Join(texts, separator)}
}

// tighterGroup returns the tightest of the groups of three fields that others have written, if
// it is tighter than ours.
func tighterGroup(h http.Header, group [3]string, our standing) (theirs [3]string, tighter bool) {
	best := our
	for i := range min(len(h[group[0]]), len(h[group[1]]), len(h[group[2]])) {
		their := standing{remaining: integer(h[group[1]][i]), reset: integer(h[group[2]][i])}
		if their.remaining < 0 || !their.isTighter(&best) {
			continue
		}
		for j, field := range group {
			theirs[j] = h[field][i]
		}
		best, tighter = their, true
	}
	return theirs, tighter
}

// integer reads a value that is an Integer; it returns -1 for any other.
func integer(value string) int64 {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// standing is the state of a client under one limit.
type standing struct {
	name, text              string // of an item of a List
	limit, remaining, reset int64  // -1 if it is not told
	lost                    bool   // another one of its name is tighter
}

// isTighter tells whether s is more restrictive than other.
func (s *standing) isTighter(other *standing) bool {
	return s.remaining < other.remaining || s.remaining == other.remaining && s.reset > other.reset
}

func (s *standing) dictionary() string {
	return "limit=" + strconv.FormatInt(s.limit, 10) + ", remaining=" + strconv.FormatInt(s.remaining, 10) +
		", reset=" + strconv.FormatInt(max(0, s.reset), 10)
}

// standings returns those of our limits that are written in the form of draft-11.
func (s *summary) standings(turns []turn) (all []standing) {
	s.eachListed(turns, func(w *headerWriter, i int, status *slidingwindow.Status) {
		all = append(all, standing{
			name: status.Limit.Name, text: string(appendItem(nil, &w.items[i], status, s.retryAfter)),
			remaining: status.Remaining, reset: ceilSeconds(waitOf(status)),
		})
	})
	return all
}

// policy is a limit in RateLimit-Policy, as draft-11 names it.
type policy struct{ name, text string }

// policies returns those of our limits that are written in the form of draft-11.
func (s *summary) policies(turns []turn) (all []policy) {
	s.eachListed(turns, func(w *headerWriter, _ int, status *slidingwindow.Status) {
		all = append(all, policy{status.Limit.Name, listPolicy([]slidingwindow.Limit{status.Limit}, w.units)})
	})
	return all
}

// standingsOf reads lines of RateLimit, each of which may have another form. A line that is neither
// draft-11's List nor draft-7's Dictionary is left out. So is a reset later than retryAfter, if
// that is not 0. policies belong to the lines: they have the quotas of a List's limits.
func standingsOf(lines []string, policies []policy, retryAfter int64) (all []standing) {
	add := func(s standing, item httpsfv.Item) {
		if retryAfter > 0 && s.reset > retryAfter {
			item.Params.Del(keyReset)
		}
		text, err := httpsfv.Marshal(item)
		if err == nil && s.name != "" && s.remaining >= 0 {
			s.text = text
			all = append(all, s)
		}
	}
	for _, line := range lines {
		if list, err := httpsfv.UnmarshalList([]string{line}); err == nil {
			for _, member := range list {
				item, name := named(member)
				add(standing{name: name, limit: quotaOf(policies, name), remaining: parameter(item, keyRemaining), reset: parameter(item, keyReset)}, item)
			}
			continue
		}
		dictionary, err := httpsfv.UnmarshalDictionary([]string{line})
		if err != nil {
			continue
		}
		number := func(key string) int64 {
			member, _ := dictionary.Get(key)
			item, _ := member.(httpsfv.Item)
			return whole(item.Value)
		}
		s := standing{name: otherName, limit: number("limit"), remaining: number("remaining"), reset: number("reset")}
		item := httpsfv.NewItem(otherName)
		item.Params.Add(keyRemaining, s.remaining)
		if s.reset > 0 {
			item.Params.Add(keyReset, s.reset)
		}
		add(s, item)
	}
	return all
}

// quotaOf returns the quota of the policy of this name, or -1 if there is none.
func quotaOf(policies []policy, name string) int64 {
	for _, p := range policies {
		if p.name == name {
			item, _ := httpsfv.UnmarshalItem([]string{p.text})
			return parameter(item, keyQuota)
		}
	}
	return -1
}

// named returns a member of a list with the String that names it, "" for any other member.
func named(member httpsfv.Member) (item httpsfv.Item, name string) {
	item, _ = member.(httpsfv.Item)
	name, _ = item.Value.(string)
	return item, name
}

// parameter returns a parameter that is an Integer; -1 if there is none.
func parameter(item httpsfv.Item, key string) int64 {
	if item.Params == nil {
		return -1
	}
	value, _ := item.Params.Get(key)
	return whole(value)
}

func whole(value any) int64 {
	if n, ok := value.(int64); ok && n >= 0 {
		return n
	}
	return -1
}

func tightestStanding(all []standing) (tightest *standing) {
	for i := range all {
		if tightest == nil || all[i].isTighter(tightest) {
			tightest = &all[i]
		}
	}
	return tightest
}

// mergeStandings joins two lists. If a name is in both, the result has the tighter limit only.
// theirsWon has the names for which that is the other limiter's.
func mergeStandings(theirs, ours []standing) (all []standing, theirsWon map[string]bool) {
	theirsWon = map[string]bool{}
	all = slices.Concat(theirs, ours)
	for i := range all {
		if all[i].lost {
			continue
		}
		for j := i + 1; j < len(all); j++ {
			switch {
			case all[i].name != all[j].name:
			case all[j].isTighter(&all[i]):
				all[i].lost = true
			default:
				all[j].lost = true
				theirsWon[all[j].name] = i < len(theirs) && j >= len(theirs)
			}
		}
	}
	return slices.DeleteFunc(all, func(s standing) bool { return s.lost }), theirsWon
}

// policiesOf returns the policies in lines of RateLimit-Policy that have names, as draft-11 requires.
func policiesOf(lines []string) (policies []policy) {
	for _, line := range lines {
		list, _ := httpsfv.UnmarshalList([]string{line})
		for _, member := range list {
			item, name := named(member)
			if text, err := httpsfv.Marshal(item); err == nil && name != "" {
				policies = append(policies, policy{name, text})
			}
		}
	}
	return policies
}

// integerPolicies returns the lines whose policies are Integers, as draft-7 and draft-6 require.
func integerPolicies(lines []string) (kept []string) {
	for _, line := range lines {
		list, err := httpsfv.UnmarshalList([]string{line})
		if err == nil && len(list) > 0 && !slices.ContainsFunc(list, func(member httpsfv.Member) bool {
			item, _ := member.(httpsfv.Item)
			return whole(item.Value) < 0
		}) {
			kept = append(kept, line)
		}
	}
	return kept
}

// mergePolicies joins the policies of the limits that mergeStandings has kept.
func mergePolicies(theirs, ours []policy, theirsWon map[string]bool) (all []policy) {
	has := func(policies []policy, name string) bool {
		return slices.ContainsFunc(policies, func(p policy) bool { return p.name == name })
	}
	for _, p := range theirs {
		if !has(all, p.name) && (theirsWon[p.name] || !has(ours, p.name)) {
			all = append(all, p)
		}
	}
	for _, p := range ours {
		if !has(all, p.name) {
			all = append(all, p)
		}
	}
	return all
}
