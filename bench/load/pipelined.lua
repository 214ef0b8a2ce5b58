-- wrk: sixteen GET requests in one go; wrk counts each answer.
local sixteen
init = function(arguments)
  sixteen = string.rep(wrk.format("GET"), 16)
end
request = function()
  return sixteen
end
