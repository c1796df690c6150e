// Package subprocess has what programs here need to run servers as processes of their
// own and leave none of them behind.
package subprocess
