package layout

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

func encode(t testing.TB, l *Layout) []byte {
	t.Helper()
	data, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// goldenLayout is what moving gives after member 4 began to leave. Its bytes
// are a promise: every later version reads them.
const goldenLayout = `{"format":1,"version":2,"cluster":"c0ffee","replication":3,"nextMember":5,"members":[` +
	`{"number":1,"node":"n1","store":"store-1","peer":"10.0.0.1:8002","http":"[::1%lo]:8000","zone":"a","weight":1,"state":"active"},` +
	`{"number":2,"node":"n2","store":"store-2","peer":"10.0.0.2:8002","http":"[::1%lo]:8001","zone":"b","weight":2,"state":"active"},` +
	`{"number":3,"node":"n3","store":"store-3","peer":"10.0.0.3:8002","http":"[::1%lo]:8002","zone":"c","weight":1,"state":"active"},` +
	`{"number":4,"node":"n4","store":"store-4","peer":"10.0.0.4:8002","http":"[::1%lo]:8003","zone":"a","weight":2,"state":"leaving"}` +
	`],"partitions":[{"e":2,"p":2,"r":[1,2,3],"n":[3,4]},{"e":1,"p":2,"r":[2]}]}`

func TestEncodingIsAsPromised(t *testing.T) {
	l := moving(t)
	l = l.Apply(nil, become(t, l, 4, inState(Leaving))).Layout
	if got := string(encode(t, l)); got != goldenLayout {
		t.Errorf("encoded as\n%s\nwant\n%s", got, goldenLayout)
	}
	decoded, err := Decode([]byte(goldenLayout))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(decoded, l) {
		t.Errorf("decoded as %+v, want %+v", decoded, l)
	}
	if !json.Valid([]byte(goldenLayout)) {
		t.Error("not JSON")
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"another format", `"format":1`, `"format":3`, "it has format 3, and this build reads format 2: a newer version of dkv wrote it"},
		{"a format that it does not need", `"format":1`, `"format":2`, "it is written in format 2, want 1"},
		{"format zero", `"format":1`, `"format":0`, "format 0 was never written"},
		{"no version", `"version":2,`, ``, `want ,"version":`},
		{"negative version", `"version":2`, `"version":-2`, "want a number"},
		{"huge version", `"version":2`, `"version":2147483648`, "number above 2147483647"},
		{"number beyond 64 bits", `"version":2`, `"version":99999999999999999999999`, "number above"},
		{"leading zero", `"version":2`, `"version":02`, "leading zero"},
		{"fraction", `"version":2`, `"version":2.0`, `want ,"cluster":`},
		{"space", `"version":2`, `"version": 2`, "want a number"},
		{"unknown key", `"replication"`, `"factor"`, `want ,"replication":`},
		{"replication", `"replication":3`, `"replication":8`, "number above 7"},
		{"no replication", `"replication":3`, `"replication":0`, "replication factor 0"},
		{"escape", `"n1"`, `"n\u0031"`, `node id "n\\u0031"`},
		{"endless string", `"c0ffee"`, `"` + strings.Repeat("x", 65) + `"`, "string does not end within 64 bytes"},
		{"number zero", `"number":1`, `"number":0`, "member 0 follows member 0"},
		{"number twice", `"number":2`, `"number":1`, "member 1 follows member 1"},
		{"descending numbers", `"number":3`, `"number":1`, "member 1 follows member 2"},
		{"number not below next", `"nextMember":5`, `"nextMember":4`, "member 4 is not below the next member 4"},
		{"node twice", `"node":"n2"`, `"node":"n1"`, `both have node id "n1"`},
		{"store twice", `"store-2"`, `"store-1"`, `both have store id "store-1"`},
		{"state", `"leaving"`, `"asleep"`, `state "asleep"`},
		{"weight", `"weight":2`, `"weight":0`, "weight 0"},
		{"epoch zero", `"e":2`, `"e":0`, "partition 0: epoch 0"},
		{"epoch too large", `"e":2`, `"e":9007199254740992`, "number above 9007199254740991"},
		{"unknown member", `"r":[2]`, `"r":[2,5]`, "partition 1: replicas [2 5]: no member has number 5"},
		{"replica twice", `"r":[2]`, `"r":[2,2]`, "member 2 twice"},
		{"empty R", `"r":[2]`, `"r":[]`, "partition 1: no replicas"},
		{"eight replicas", `"r":[2]`, `"r":[2,2,2,2,2,2,2,2]`, "more than 7 replicas"},
		{"primary outside", `"p":2,"r":[2]`, `"p":3,"r":[2]`, "primary 3 is in neither"},
		{"N like R", `"n":[3,4]`, `"n":[3,2,1]`, "to the same replicas"},
		{"empty N", `"n":[3,4]`, `"n":[]`, `empty "n"`},
		{"no members", goldenLayout[strings.Index(goldenLayout, `{"number"`):strings.Index(goldenLayout, `],"part`)], ``, "0 members"},
		{"no partitions", goldenLayout[strings.Index(goldenLayout, `{"e"`):strings.LastIndex(goldenLayout, `]`)], ``, "0 partitions"},
		{"missing comma", `},{"e":1`, `}{"e":1`, "want ,"},
		{"cut short", `]}]}`, `]}`, "at byte 670: want ,"},
		{"too long", `]}]}`, `]}]} `, "1 bytes too many"},
		{"empty", goldenLayout, ``, `at byte 0: want {"format":`},
		{"null", goldenLayout, `null`, `at byte 0: want {"format":`},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := strings.Replace(goldenLayout, c.old, c.new, 1)
			if data == goldenLayout {
				t.Fatal("nothing was replaced")
			}
			if l, err := Decode([]byte(data)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Decode = %v, %v, want %q", l, err, c.want)
			}
		})
	}
}

func TestDecodeIsBounded(t *testing.T) {
	if _, err := Decode(make([]byte, MaxEncodedBytes+1)); err == nil || !strings.Contains(err.Error(), "900000 bytes, want at most 899999") {
		t.Errorf("a long encoding: %v", err)
	}
	partition := `{"e":1,"p":2,"r":[2]}`
	many := strings.Replace(goldenLayout, partition, strings.Repeat(partition+",", MaxPartitions)+partition, 1)
	if _, err := Decode([]byte(many)); err == nil || !strings.Contains(err.Error(), "more than 4096 partitions") {
		t.Errorf("%d partitions: %v", MaxPartitions+2, err)
	}
	first := goldenLayout[strings.Index(goldenLayout, `{"number"`):strings.Index(goldenLayout, `,{"number":2`)]
	many = strings.Replace(goldenLayout, first, strings.Repeat(first+",", MaxMembers)+first, 1)
	if _, err := Decode([]byte(many)); err == nil || !strings.Contains(err.Error(), "more than 256 members") {
		t.Errorf("%d members: %v", MaxMembers+4, err)
	}
}

// largest is a layout at every bound at once.
func largest(t testing.TB) *Layout {
	members := make([]Member, MaxMembers)
	for i := range members {
		suffix := string([]byte{'a' + byte(i/16), 'a' + byte(i%16)})
		members[i] = Member{
			Node:   NodeID(strings.Repeat("n", MaxNameBytes-2) + suffix),
			Store:  StoreID(strings.Repeat("s", MaxNameBytes-2) + suffix),
			Peer:   strings.Repeat("p", MaxAddressBytes),
			HTTP:   strings.Repeat("h", MaxAddressBytes),
			Zone:   strings.Repeat("z", MaxNameBytes),
			Weight: MaxWeight,
		}
	}
	placements := make([]Placement, MaxPartitions)
	for i := range placements {
		placements[i] = Placement{Primary: 1, Replicas: []MemberNumber{1, 2, 3, 4, 5, 6, 7}}
	}
	l, err := Form(strings.Repeat("c", MaxNameBytes), MaxReplication, members, placements)
	if err != nil {
		t.Fatal(err)
	}
	renumber := func(set []MemberNumber) {
		for i, n := range set {
			set[i] = n + MaxMemberNumber - MaxMembers
		}
	}
	l.version, l.nextMember = math.MaxInt32, MaxMemberNumber+1
	for i := range l.members {
		l.members[i].Number += MaxMemberNumber - MaxMembers
		l.members[i].State = Replaced
	}
	for i := range l.partitions {
		p := &l.partitions[i]
		p.Epoch, p.Next = MaxEpoch, []MemberNumber{8, 9, 10, 11, 12, 13, 14}
		renumber(p.Replicas)
		renumber(p.Next)
		p.Primary = p.Replicas[0]
	}
	return l
}

func TestTheLargestLayoutFits(t *testing.T) {
	l := largest(t)
	if err := l.validate(); err != nil {
		t.Fatal(err)
	}
	data := encode(t, l)
	t.Logf("%d bytes", len(data))
	decoded, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(decoded, l) {
		t.Error("decoded as another layout")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(goldenLayout))
	f.Add([]byte(strings.ReplaceAll(goldenLayout, "2", "7")))
	f.Add([]byte(goldenLayout[:len(goldenLayout)/2]))
	f.Add([]byte(`{"format":1,"version":0,"cluster":"c","replication":1,"nextMember":1,"members":[],"partitions":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := Decode(data)
		if err != nil {
			return
		}
		if again := encode(t, l); !bytes.Equal(again, data) {
			t.Errorf("decoded %q, encoded %q", data, again)
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	small, err := Decode([]byte(goldenLayout))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		layout *Layout
	}{{"small", small}, {"largest", largest(b)}} {
		data := encode(b, c.layout)
		b.Run("encode/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				encode(b, c.layout)
			}
		})
		b.Run("decode/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
