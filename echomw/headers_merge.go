package echomw

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/dunglas/httpsfv"
)

// Another limiter, such as that of the service behind a gateway, may write to the same
// fields. What it says is read only then.

// otherName is what an item of RateLimit is called that was made of another limiter's
// Dictionary, where limits have no names.
const otherName = "other"

// merge puts our lines and what others have written to their fields into the header: lists
// join, and of the fields with room for one limit the tighter one's stay. The form is that
// of our formats; what a client could not parse there is left out. merge returns those
// of our lines that are in the header as they were.
func merge(h http.Header, ours []headerLine, s *summary) []headerLine {
	mine := http.Header{}
	setLines(mine, ours)
	replaced := map[string]bool{}
	replace := func(field string, values ...string) {
		h[field], replaced[field] = values, true
	}
	for _, group := range [...][3]string{
		{fieldLimit, fieldRemaining, fieldReset},
		{fieldLegacyLimit, fieldLegacyRemaining, fieldLegacyReset},
	} {
		if theirs, tighter := tightestGroup(h, mine, group); tighter && !s.refused {
			for i, field := range group {
				replace(field, theirs[i])
			}
		}
	}
	switch policies := namedPolicies(h[fieldPolicy]); {
	case s.formats&HeadersDraft11 != 0:
		items, theirsWon := mergeItems(standingsOf(h[fieldRateLimit], nil), standingsOf(mine[fieldRateLimit], nil), s.retryAfter)
		replace(fieldRateLimit, marshal(items)...)
		replace(fieldPolicy, marshal(mergePolicies(policies, namedPolicies(mine[fieldPolicy]), theirsWon))...)
	case len(mine[fieldPolicy]) > 0:
		if theirs := tightestStanding(standingsOf(h[fieldRateLimit], policies)); theirs != nil && theirs.limit >= 0 && !s.refused {
			if our := tightestStanding(standingsOf(mine[fieldRateLimit], nil)); our != nil && theirs.isTighter(our) {
				replace(fieldRateLimit, theirs.dictionary())
			}
		}
		policies := integerPolicies(h[fieldPolicy])
		for _, line := range mine[fieldPolicy] {
			if !slices.Contains(policies, line) {
				policies = append(policies, line)
			}
		}
		replace(fieldPolicy, policies...)
	}
	kept := slices.DeleteFunc(ours, func(line headerLine) bool { return replaced[line.field] })
	setLines(h, kept)
	return kept
}

// tightestGroup returns the tightest of the groups of three fields that others have written,
// and whether it is tighter than ours.
func tightestGroup(h, mine http.Header, group [3]string) (theirs [3]string, tighter bool) {
	if len(mine[group[1]]) == 0 {
		return theirs, false
	}
	best, bestReset := integer(mine[group[1]][0]), integer(mine[group[2]][0])
	for i := range min(len(h[group[0]]), len(h[group[1]]), len(h[group[2]])) {
		remaining, reset := integer(h[group[1]][i]), integer(h[group[2]][i])
		if remaining < 0 || remaining > best || remaining == best && reset <= bestReset {
			continue
		}
		for j, field := range group {
			theirs[j] = h[field][i]
		}
		best, bestReset, tighter = remaining, reset, true
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

// standing is where a client stands by one limit, as RateLimit tells it.
type standing struct {
	item                    httpsfv.Item // of a List
	name                    string
	limit, remaining, reset int64 // -1 if it is not told
	lost                    bool  // another one of its name is tighter
}

// isTighter tells whether s is more restrictive than other.
func (s *standing) isTighter(other *standing) bool {
	return s.remaining < other.remaining || s.remaining == other.remaining && s.reset > other.reset
}

func (s *standing) dictionary() string {
	return "limit=" + strconv.FormatInt(s.limit, 10) + ", remaining=" + strconv.FormatInt(s.remaining, 10) +
		", reset=" + strconv.FormatInt(max(0, s.reset), 10)
}

// standingsOf reads lines of RateLimit, each of which may have a form of its own. What is
// neither draft-11's List nor draft-7's Dictionary is left out. The policies are those that
// go with the lines, which have the limits of a List.
func standingsOf(lines []string, policies httpsfv.List) (all []standing) {
	for _, line := range lines {
		if list, err := httpsfv.UnmarshalList([]string{line}); err == nil {
			for _, member := range list {
				item, name := named(member)
				s := standing{item: item, name: name, limit: -1, remaining: parameter(item, keyRemaining), reset: parameter(item, keyReset)}
				for _, policy := range policies {
					if item, other := named(policy); other == name {
						s.limit = parameter(item, keyQuota)
					}
				}
				if name != "" && s.remaining >= 0 {
					all = append(all, s)
				}
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
		s := standing{item: httpsfv.NewItem(otherName), name: otherName, limit: number("limit"), remaining: number("remaining"), reset: number("reset")}
		if s.remaining >= 0 {
			s.item.Params.Add(keyRemaining, s.remaining)
			if s.reset > 0 {
				s.item.Params.Add(keyReset, s.reset)
			}
			all = append(all, s)
		}
	}
	return all
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

// mergeItems makes one List. Names differ in it: of two limits of one name it has the
// tighter. theirsWon has the names of which that is the other limiter's.
func mergeItems(theirs, ours []standing, retryAfter int64) (list httpsfv.List, theirsWon map[string]bool) {
	theirsWon = map[string]bool{}
	all := slices.Concat(theirs, ours)
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
	all = slices.DeleteFunc(all, func(s standing) bool { return s.lost })
	tightest := tightestStanding(all)
	for i := range all {
		params := all[i].item.Params
		if retryAfter > 0 && all[i].reset > retryAfter {
			params.Del(keyReset)
		}
		if &all[i] != tightest {
			for _, key := range [...]string{keyCommentLimit, keyCommentRemaining, keyCommentReset} {
				params.Del(key)
			}
		}
		list = append(list, all[i].item)
	}
	return list, theirsWon
}

// namedPolicies are the policies of a List that have names, as draft-11 wants.
func namedPolicies(lines []string) (policies httpsfv.List) {
	for _, line := range lines {
		list, _ := httpsfv.UnmarshalList([]string{line})
		for _, member := range list {
			if _, name := named(member); name != "" {
				policies = append(policies, member)
			}
		}
	}
	return policies
}

// integerPolicies are the lines whose policies are Integers, as draft-7 and draft-6 want.
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

// mergePolicies makes one List of the policies of the limits that mergeItems has kept.
func mergePolicies(theirs, ours httpsfv.List, theirsWon map[string]bool) (list httpsfv.List) {
	has := func(list httpsfv.List, name string) bool {
		return slices.ContainsFunc(list, func(member httpsfv.Member) bool {
			_, other := named(member)
			return other == name
		})
	}
	for _, member := range theirs {
		if _, name := named(member); !has(list, name) && (theirsWon[name] || !has(ours, name)) {
			list = append(list, member)
		}
	}
	for _, member := range ours {
		if _, name := named(member); !has(list, name) {
			list = append(list, member)
		}
	}
	return list
}

func marshal(list httpsfv.List) []string {
	text, err := httpsfv.Marshal(list)
	if err != nil || text == "" {
		return nil
	}
	return []string{text}
}
