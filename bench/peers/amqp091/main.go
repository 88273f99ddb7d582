// SPDX-License-Identifier: MIT

// The peer in Go: github.com/rabbitmq/amqp091-go as Debian packages it, under the same load as the
// programs of bench/messaging, with the same command line, bodies and line of results: see load.h
// there. It recovers from nothing. Confirms are counted by a goroutine of their own and
// acknowledgements gathered, which is the fastest that this client goes.
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	bodyLen       = 100
	ackEvery      = 64
	idle          = 20 * time.Second
	clockMono     = 1
	timerAbsolute = 1
)

type options struct {
	mode, queue            string
	count, skip            uint64
	window, prefetch, rate int
	url                    string
}

func fail(format string, args ...interface{}) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

func check(err error, what string) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

// nowNs is CLOCK_MONOTONIC, which is the same in all processes of a machine; package time does not
// tell it.
func nowNs() uint64 {
	var at syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockMono, uintptr(unsafe.Pointer(&at)), 0)
	return uint64(at.Nano())
}

// sleepUntil is exact, where time.Sleep rounds to milliseconds.
func sleepUntil(ns uint64) {
	at := syscall.NsecToTimespec(int64(ns))
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_CLOCK_NANOSLEEP, clockMono, timerAbsolute,
			uintptr(unsafe.Pointer(&at)), 0, 0, 0)
		if errno != syscall.EINTR {
			return
		}
	}
}

func writeBody(body []byte, seq, total uint64) {
	for i := range body {
		body[i] = 'x'
	}
	binary.LittleEndian.PutUint64(body, nowNs())
	binary.LittleEndian.PutUint64(body[8:], seq)
	binary.LittleEndian.PutUint64(body[16:], total)
}

// ---- what it took ---------------------------------------------------------------------------

type stopwatch struct {
	startNs, endNs   uint64
	startCPU, endCPU int64
}

func cpuNs() int64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage), "getrusage")
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func (w *stopwatch) start() {
	w.startNs, w.startCPU = nowNs(), cpuNs()
}

func (w *stopwatch) stop() {
	w.endNs, w.endCPU = nowNs(), cpuNs()
}

func residentKib() (rss, anon int) {
	text, err := os.ReadFile("/proc/self/status")
	check(err, "/proc/self/status")
	for _, line := range strings.Split(string(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) > 1 && fields[0] == "VmRSS:" {
			rss, _ = strconv.Atoi(fields[1])
		}
		if len(fields) > 1 && fields[0] == "RssAnon:" {
			anon, _ = strconv.Atoi(fields[1])
		}
	}
	return rss, anon
}

func percentileUs(sorted []uint64, percent float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[int(float64(len(sorted)-1)*percent/100)]) / 1000
}

func report(o *options, w *stopwatch, n uint64, prefix string, samples []uint64, more string) {
	rss, anon := residentKib()
	seconds := float64(w.endNs-w.startNs) / 1e9
	cpuUs := float64(w.endCPU-w.startCPU) / 1000
	if n > 0 {
		cpuUs /= float64(n)
	}
	line := fmt.Sprintf(`{"mode":"%s","messages":%d,"seconds":%.6f,"rate":%.1f,"cpu_us":%.4f,`+
		`"rss_kib":%d,"anon_kib":%d`, o.mode, n, seconds, float64(n)/seconds, cpuUs, rss, anon)
	if samples != nil {
		sort.Slice(samples, func(i, j int) bool { return samples[i] < samples[j] })
		line += fmt.Sprintf(`,"%sp50_us":%.1f,"%sp99_us":%.1f`, prefix, percentileUs(samples, 50),
			prefix, percentileUs(samples, 99))
	}
	fmt.Println(line + more + "}")
}

// ---- publishing -------------------------------------------------------------------------------

// publisher keeps at most window messages unconfirmed: each takes a place, each confirm frees one.
type publisher struct {
	channel *amqp.Channel
	queue   string
	places  chan struct{}
	done    chan struct{}
}

func newPublisher(channel *amqp.Channel, o *options) *publisher {
	check(channel.Confirm(false), "confirm.select")
	p := &publisher{channel, o.queue, make(chan struct{}, o.window), make(chan struct{})}
	confirms := channel.NotifyPublish(make(chan amqp.Confirmation, o.window))
	go func() {
		for n := uint64(0); n < o.count; n++ {
			confirm, ok := <-confirms
			if !ok || !confirm.Ack {
				fail("a message was not confirmed")
			}
			<-p.places
		}
		close(p.done)
	}()
	return p
}

func (p *publisher) publish(body []byte) {
	p.places <- struct{}{}
	check(p.channel.PublishWithContext(context.Background(), "", p.queue, false, false,
		amqp.Publishing{DeliveryMode: amqp.Persistent, Body: body}), "publish")
}

func runPublish(channel *amqp.Channel, o *options) {
	p := newPublisher(channel, o)
	body := make([]byte, bodyLen)
	writeBody(body, 0, 0)
	var w stopwatch
	w.start()
	for n := uint64(0); n < o.count; n++ {
		p.publish(body)
	}
	<-p.done
	w.stop()
	report(o, &w, o.count, "", nil, "")
}

func runPace(channel *amqp.Channel, o *options) {
	runtime.LockOSThread()
	p := newPublisher(channel, o)
	late := make([]uint64, 0, o.count)
	body := make([]byte, bodyLen)
	var w stopwatch
	w.start()
	for n := uint64(0); n < o.count; n++ {
		due := w.startNs + n*1000000000/uint64(o.rate)
		sleepUntil(due)
		total := uint64(0)
		if n+1 == o.count {
			total = o.count
		}
		writeBody(body, n, total)
		late = append(late, nowNs()-due)
		p.publish(body)
	}
	<-p.done
	w.stop()
	report(o, &w, o.count, "late_", late, "")
}

// ---- consuming --------------------------------------------------------------------------------

func deliveries(channel *amqp.Channel, o *options) <-chan amqp.Delivery {
	check(channel.Qos(o.prefetch, 0, false), "basic.qos")
	found, err := channel.Consume(o.queue, "", false, false, false, false, nil)
	check(err, "basic.consume")
	return found
}

func runConsume(channel *amqp.Channel, o *options) {
	var w stopwatch
	n := uint64(0)
	for delivery := range deliveries(channel, o) {
		if n++; n == 1 {
			w.start()
		}
		if n%ackEvery == 0 || n == o.count {
			check(delivery.Ack(true), "basic.ack")
		}
		if n == o.count {
			break
		}
	}
	w.stop()
	if n != o.count {
		fail("%d of %d messages came", n, o.count)
	}
	report(o, &w, n, "", nil, "")
}

type arrivals struct {
	latency           []uint64
	seen              map[uint64]bool
	total, duplicates uint64
}

// add notes a message. True when all have come.
func (a *arrivals) add(body []byte, skip uint64) bool {
	now := nowNs()
	if len(body) != bodyLen {
		fail("a message of %d bytes is none of ours", len(body))
	}
	sent := binary.LittleEndian.Uint64(body)
	seq := binary.LittleEndian.Uint64(body[8:])
	if total := binary.LittleEndian.Uint64(body[16:]); total != 0 {
		a.total = total
	}
	if a.seen[seq] {
		a.duplicates++
		return false
	}
	a.seen[seq] = true
	if seq >= skip {
		a.latency = append(a.latency, now-sent)
	}
	return a.total != 0 && uint64(len(a.seen)) >= a.total
}

func runListen(channel *amqp.Channel, o *options) {
	incoming := deliveries(channel, o)
	fmt.Fprintln(os.Stderr, "ready")
	a := arrivals{latency: []uint64{}, seen: map[uint64]bool{}, total: o.count}
	var w stopwatch
	w.start()
	quiet := time.NewTicker(idle) // ends the wait when nothing came between two ticks
	before, unacked := -1, 0
	for complete := false; !complete; {
		select {
		case delivery, ok := <-incoming:
			if !ok {
				fail("the broker closed the channel")
			}
			complete = a.add(delivery.Body, o.skip)
			if unacked++; unacked == ackEvery || complete || len(incoming) == 0 {
				check(delivery.Ack(true), "basic.ack")
				unacked = 0
			}
		case <-quiet.C:
			complete = len(a.seen) == before
			before = len(a.seen)
		}
	}
	w.stop()
	n, missing := uint64(len(a.seen)), uint64(0)
	if a.total > n {
		missing = a.total - n
	}
	report(o, &w, n, "", a.latency,
		fmt.Sprintf(`,"missing":%d,"duplicates":%d`, missing, a.duplicates))
}

func parse() *options {
	o := &options{url: os.Getenv("GODWIT_BENCH_URL")}
	if len(os.Args) < 2 || o.url == "" {
		fail("usage: GODWIT_BENCH_URL=amqp://... %s MODE [-option value]...; see load.h", os.Args[0])
	}
	o.mode = os.Args[1]
	flags := flag.NewFlagSet(os.Args[0], flag.ExitOnError)
	flags.StringVar(&o.queue, "queue", "bench", "")
	flags.Uint64Var(&o.count, "count", 0, "")
	flags.Uint64Var(&o.skip, "skip", 0, "")
	flags.IntVar(&o.window, "window", 1000, "")
	flags.IntVar(&o.prefetch, "prefetch", 500, "")
	flags.IntVar(&o.rate, "rate", 5000, "")
	check(flags.Parse(os.Args[2:]), "the command line")
	return o
}

func main() {
	o := parse()
	modes := map[string]func(*amqp.Channel, *options){
		"publish": runPublish, "consume": runConsume, "pace": runPace, "listen": runListen}
	run := modes[o.mode]
	if run == nil {
		fail("amqp091 has no mode %s", o.mode)
	}
	connection, err := amqp.Dial(o.url)
	check(err, "connect")
	channel, err := connection.Channel()
	check(err, "open a channel")
	_, err = channel.QueueDeclare(o.queue, true, false, false, false, nil)
	check(err, "declare the queue")
	run(channel, o)
	check(connection.Close(), "close")
}
