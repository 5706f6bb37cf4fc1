//go:build linux

package main_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// testEarlierFormats opens the data of clusters that earlier builds left behind, one a
// format of the store, and reads what they acknowledged. testdata/formats/N.tar.gz is the
// data directory of "dkv local --nodes 3 --partitions 4", stopped by Ctrl-C after key1 to
// key8 got the values value1 to value8 and key8 was deleted.
func testEarlierFormats(t *testing.T, p programs) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/formats/*.tar.gz")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, archive := range archives {
		t.Run(filepath.Base(archive), func(t *testing.T) {
			l := newLauncherOf(t, p, 3, "--partitions", "4")
			if err := os.Mkdir(l.data, 0o700); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("tar", "-xzf", archive, "-C", l.data).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for range 2 { // the second start finds what the first one raised
				l.start()
				for i := 1; i <= 7; i++ {
					want := regexp.MustCompile(fmt.Sprintf(`"value":"value%d"`, i))
					if _, body := l.expect(http.MethodGet, i%3, fmt.Sprintf("/get?key=key%d", i), "", http.StatusOK, ""); !want.MatchString(body) {
						t.Errorf("key%d: %s", i, body)
					}
				}
				l.expect(http.MethodGet, 0, "/get?key=key8", "", http.StatusNotFound, "")
				l.expect(http.MethodPost, 1, "/put", `{"key":"new","value":"x"}`, http.StatusOK, "")
				l.interrupt()
			}
		})
	}
}
