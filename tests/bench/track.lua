-- SPDX-License-Identifier: Apache-2.0
-- Single Segment track calls for wrk, of customers at random, each with a messageId of its own. The bodies are made by hand: a JSON
-- library in the load generator would be measured, too. BENCH_CUSTOMERS and BENCH_RUN come from the environment.

local n_threads = 0

function setup(thread)
    thread:set("number", n_threads)
    n_threads = n_threads + 1
end

local head, made, customers, run

function init()
    customers = tonumber(os.getenv("BENCH_CUSTOMERS") or "100000")
    run = (os.getenv("BENCH_RUN") or "0") .. "-" .. number
    math.randomseed(number + 1)
    made = 0
    head = "POST /v1/track HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: "
end

function request()
    made = made + 1
    local body = string.format('{"userId":"bench-%06d","messageId":"bench-%s-%d","event":"Product Viewed","properties":{"sku":"SP-2210-ASH",'
        .. '"name":"Digging spade, ash handle","price":"34.95","currency":"EUR","list":"garden tools","position":4},'
        .. '"context":{"locale":"nl-NL","page":{"url":"https://shop.example/garden/tools/spades"}}}',
        math.random(0, customers - 1), run, made)
    return head .. #body .. "\r\n\r\n" .. body
end

function done(summary, latency)
    io.write(string.format('BENCH {"n":%d,"seconds":%.6f,"failed":%d,"p50_us":%d,"p99_us":%d}\n', summary.requests, summary.duration / 1e6,
        summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout,
        latency:percentile(50), latency:percentile(99)))
end
