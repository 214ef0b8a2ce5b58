-- wrk: GET / with the twelve headers that a browser sends.
wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
wrk.headers["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
wrk.headers["Accept-Language"] = "en-GB,en;q=0.7,de;q=0.3"
wrk.headers["Accept-Encoding"] = "gzip, deflate, br, zstd"
wrk.headers["Referer"] = "http://localhost/a/page/before?with=a&query=string"
wrk.headers["Connection"] = "keep-alive"
wrk.headers["Cookie"] = "session=2f1c0a6d6f3b4bb08c0f4f0d1c9b7a55; theme=light; seen=1"
wrk.headers["Upgrade-Insecure-Requests"] = "1"
wrk.headers["Sec-Fetch-Dest"] = "document"
wrk.headers["Sec-Fetch-Mode"] = "navigate"
wrk.headers["Sec-Fetch-Site"] = "same-origin"
-- the twelfth, Host, is wrk's own
