-- SPDX-License-Identifier: MIT
-- For wrk: asks for the paths in the file that is named behind "--", one after the other.
local requests = {}
local last = 0

function init(args)
    for path in io.lines(args[1]) do
        requests[#requests + 1] = wrk.format("GET", path)
    end
end

function request()
    last = last % #requests + 1
    return requests[last]
end
