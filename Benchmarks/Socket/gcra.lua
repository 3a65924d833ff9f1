-- A token bucket (GCRA) in Redis, as limiters that keep their state there do it: one key holds the
-- theoretical arrival time. KEYS[1]: the bucket; ARGV: emission interval and burst tolerance, in ms.
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + now[2] / 1000
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local tat = tonumber(redis.call('GET', KEYS[1]) or now_ms)
if tat < now_ms then tat = now_ms end
local new = tat + interval
if new - now_ms > tolerance then
  return {0, math.floor((tolerance - (tat - now_ms)) / interval), math.ceil(new - now_ms - tolerance)}
end
redis.call('SET', KEYS[1], new, 'PX', math.ceil(new - now_ms))
return {1, math.floor((tolerance - (new - now_ms)) / interval), 0}
