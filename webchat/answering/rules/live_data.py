"""Questions about what only a live source knows: weather, date and time, exchange rates, news."""

from __future__ import annotations

import re

# A text or a translation that mentions the weather is not a question about today's sky; neither is the weather
# as a reason for a late parcel, or as what a product is made for.
_ABOUT_ELSE = re.compile(
    r"写|作文|诗|翻译|造句|故事|文案|英[语文]|单词|代码|程序|接口|为什么|原理|什么意思|定义"
    r"|[送寄买卖退漏鞋靴衣]|防[水雨晒紫]|发货|收货|换货|快递|物流|包裹|订单|多少钱|下载|插件|软件|成语|羽绒|被子"
    r"|帐篷|这[个把件款双条顶台]|那款"
    r"|(?<![a-z])(?:write|poem|story|translate|code|program|python|api|why|explain|mean|deliver|ship|order|parcel"
    r"|package"
    r"|return|sell|buy|jacket|coat|shoes|boots|tires|(?:all|any|bad|cold|hot|warm|wet|winter) weather)"
)

_WEATHER = re.compile(
    r"天[气氣]|[气氣][温溫]|下雨|下雪|台风|雾霾|空[气氣]质量(?:怎|如何|好|指数)|紫外线(?:强|指数)"
    r"|[带帶打]雨?[伞傘](?:$|出)"
    r"|(?:今[天日晚]|明[天日早]|后天|现在|外面|室外|周末|[这下]周).{0,6}"
    r"(?:温度|多少度|几度|降温|[冷热](?:不[冷热]|$)|晴|阴天|[会有是][雨雪](?:天|$))"
    r"|\bweather\b|\bforecast\b|\btemperature (?:today|outside|now|tomorrow|in)\b|\bhow (?:hot|cold|warm) is it\b"
    r"|\b(?:is it|will it|going to) (?:be )?(?:rain|snow|sunny)|\b(?:need|bring|take) an umbrella\b"
)

# Whole questions only: 几点开门 and "what time do you open" are about the shop. Only here and now, too: the time in
# another city and the date of a feast are other questions.
_CLOCK = re.compile(
    r"^(?:(?:请?告诉我|[你您]知道|看一?下|帮我看一?下|那|亲)*+(?:"
    r"(?:现在|現在|此刻|目前|当前|這會兒|这会儿)(?:的?北京)?(?:的?(?:时间|時間|时刻))?是?(?:几点|幾點)(?:几分|幾分"
    r"|钟|鐘|了|啦)*+"
    r"|(?:几点|幾點)(?:钟|鐘)?[了啦]"
    r"|(?:现在|現在|目前|当前)的?是?(?:什么|什麼|啥)?(?:时间|時間|时刻|时候|時候)(?:是?(?:多少|几点|什么|啥))?[了啦]?"
    r"|(?:北京|当前|當前)(?:时间|時間)|报时|報時"
    r"|(?:今天|今日|今儿个?|现在|現在|当前)(?:的?日期)?是?(?:(?:几|幾|哪一?)年)?(?:(?:几|幾)月(?:份)?)?(?:几|幾"
    r"|多少)(?:号|號|日)(?:来着|了|啦)?"
    r"|(?:今天|今日|今儿个?|现在|現在)(?:几|幾)?(?:月)?(?:几|幾)?(?:号|號)?是?(?:星期|周|週|礼拜|禮拜)(?:几"
    r"|幾)(?:来着|了|啦)?"
    r"|(?:今天|今日|当前|现在)的?(?:是什么|是|什么)?(?:日期|年月日)(?:是?(?:多少|什么|啥|几号))?"
    r"|(?:今年|现在|現在)是?(?:哪一?年|(?:几|幾){2}年|(?:几|幾)年|(?:公元)?多少年)(?:了|啦)?"
    r"|(?:现在|這個月|这个?月|本月)是?(?:几|幾)月份?(?:了|啦)?"
    r"))$"
    r"|^(?:(?:hi|hello|hey|please|excuse me|so|and|ok|sorry) )*+"
    r"(?:(?:can|could|do|would|will) you (?:please )?(?:tell|give|know|say)(?: me)? |(?:please )?tell me |i (?:need"
    r"|want) to know )?"
    r"(?:what(?: is|s| s)? (?:the )?(?:current |exact )?time(?: is it| it is)?|do you have the time"
    r"|(?:the )?(?:current|exact) time|time now"
    r"|(?:what(?: is|s| s)?|which) (?:the )?(?:current )?(?:day|date|year|month)(?: of the (?:week|month"
    r"|year))?(?: (?:is|are) (?:it|we in|today)| it is)?"
    r"|what (?:is )?today s? ?(?:date|day)|what(?: is|s| s) today(?: s)?(?: date| day)?|today s date"
    r"|(?:the )?(?:current |today s )date|the time)"
    r"(?: (?:now|right now|today|at the moment|currently|please|pls|thanks|right this second)(?![a-z]))*+$"
)
_BARE_EN = re.compile(r"^(?:what|which) (?:the )?(?:day|date|year|month|time)$|^the time$")

_MONEY_ZH = (
    r"(?:人民币|人民幣|美元|美金|美刀|欧元|歐元|英镑|英鎊|日元|日圆|日圓|日币|港币|港幣|港元|台币|臺幣|韩元|韓元"
    r"|韩币|澳元|加元|泰铢|卢布|新币|瑞郎|外币|块钱|元钱)"
)
_MONEY_EN = (
    r"(?:us |american |mexican |canadian |australian |hong kong |british |chinese |japanese |swiss )?"
    r"(?:dollars?|euros?|pounds?|yuan|rmb|renminbi|yen|won|rupees?|francs?|pesos?|rubles?|usd|eur|gbp|cny|jpy|hkd"
    r"|aud|cad|krw|inr|chf|twd|sgd)"
)
_EXCHANGE = re.compile(
    rf"{_MONEY_ZH}(?:现在|今天|目前|可以|能)*+(?:兑换?|兌換?|对|對|换|換|等于|折合|折算成?|是|合)(?:现在"
    rf"|今天)?(?:了|成)?(?:多少|几)?{_MONEY_ZH}"
    rf"|^(?:请?问?[你您]?(?:知道|告诉我|查一?下|看看)?)(?:今天|今日|现在|目前|当前|实时|最新"
    rf"|最近)的?(?:{_MONEY_ZH})?的?(?:实时|最新)?(?:汇率|匯率)(?:是?(?:多少|几|怎么样|如何)|呢)?$"
    rf"|^{_MONEY_ZH}(?:的|今天的?|现在的?|最新的?|实时)*+(?:汇率|匯率)(?:是?(?:多少|几|怎么样|如何))?$"
    r"|^(?:实时|最新|今日)?(?:汇率|匯率)(?:是?多少|查询|怎么样)?$"
    rf"|\b(?:exchange|conversion|currency) rates?\b|^(?:how (?:much|many) (?:is |are )?)?(?:(?:one|a|an|the|[\d.]+"
    rf"|\d[\d ]*) )?{_MONEY_EN} (?:to|in|into|vs|against|worth in|equals? (?:how many)?) {_MONEY_EN}(?: (?:now"
    rf"|today|right now|please|rate))*$"
    rf"|\bhow (?:many|much) {_MONEY_EN} (?:is|are|do i get for|for|in|can i get for) (?:(?:one|a|an|the"
    rf"|[\d.]+) )?{_MONEY_EN}\b|\bconvert [\d.]* ?{_MONEY_EN} (?:to|into) {_MONEY_EN}\b"
)
# How the shop itself counts money is the shop's to say.
_OF_THE_SHOP = re.compile(
    r"付款|支付|付钱|结算|結算|下单|订单|退款|退货|退回|手续费|价格|售价|标价|多少钱|运费|你们|店|商品"
    r"|这[个件款双条]|怎么算|按|收[美欧英日港]|写|翻译|为什么|什么意思|什么是|原理"
    r"|(?<![a-z])(?:pay|paid|payment|checkout|order|charged?|refund(?:ed)?|price[sd]?|invoice|my|your|cost|shipping"
    r"|fees?|do you|you (?:use|apply)|apply|used|which|write|explain|why|mean|what is an?|how (?:do|does|are|is)) "
    r"|(?<![a-z])(?:my|your|our) "
)

_NEWS = re.compile(
    r"^(?:请?(?:给我|跟我|帮我)?(?:说说|讲讲|看看|查一?下|播报|告诉我)?)?(?:今天|今日|昨天|昨晚|今晚|现在|最近|最新"
    r"|国内|国际|本地|热点|头条|体育|财经|的|有没有|有什么|有啥|有|什么|啥|一下)*+"
    r"(?:新闻|新聞|时事|头条|热搜)(?:有哪些|有什么|是什么|吗|呢)?$"
    r"|^(?:今天|今日|现在|目前|最近|最新|当前|昨天|的)*+(?:a股|港股|美股|股市|大盘|上证指数|上证|沪指|深证|道琼斯"
    r"|纳斯达克|恒生指数|比特币|以太坊)(?:的|今天|现在|行情|指数|价格|多少点?|怎么样|如何|涨了?|跌了?|还是|是|会|吗"
    r"|没|收盘)*+$"
    r"|(?:双色球|大乐透|彩票|福彩|体彩).{0,6}(?:开奖|号码|结果)|^(?:今天|昨晚|昨天|今晚|刚才)?.{0,12}(?:比赛|球赛"
    r"|世界杯|欧冠|nba|中超)(?:的)?(?:比分|结果)(?:是?多少|如何|怎么样|是什么)?$"
    r"|^(?:今天|现在|这会儿|前面)?(?:路上|路况|高速|外面)?(?:路况(?:怎么样|如何|好吗)?|堵车|堵不堵车?|堵吗)(?:吗"
    r"|了吗|没|严重吗)?$|^(?:今天|明天)?(?:限行|限号)(?:尾号)?(?:是?(?:多少|几)|吗)?$"
    r"|^(?:(?:what(?: is|s| s)|any|tell me|give me|show me|read me|is there any|are there any) )?(?:the |some "
    r"|me )*+(?:latest |today s |current |breaking |world |local |recent |sports? )*+(?:news|headlines"
    r"|news headlines)(?: (?:today|now|right now|this morning|please|of the day|for today|of today))*$"
    r"|^what(?: is|s| s) (?:(?:happening|going on) )?in the (?:news|world)(?: today)?$|^how (?:is|are"
    r"|s) (?:the )?(?:traffic|roads?)(?: (?:today|now|right now|like|outside))*$|^what(?: is|s"
    r"| s) (?:the )?traffic(?: like)?(?: (?:today|now))*$"
    r"|^(?:what(?: is|s| s) )?(?:the )?(?:current |latest )?(?:stock price of [a-z ]{2,20}|price of (?:bitcoin"
    r"|ethereum)|bitcoin price|lottery (?:numbers|results))(?: (?:today|now))*$|^how (?:is"
    r"|s) the stock market(?: (?:today|doing|now))*$"
    r"|^who (?:won|is winning) (?:the )?[a-z ]{2,30}(?:game|match|cup|race|election)(?: (?:last night|today"
    r"|yesterday))?$|^what(?: is|s| s| was) the score(?: of the [a-z ]{2,30})?$"
)
_LONGEST_WHOLE = 80  # characters: a longer message is about more than one thing


def weather(question: str) -> bool:
    """Whether a normalised question is about today's sky."""
    return bool(_WEATHER.search(question)) and not _ABOUT_ELSE.search(question)


def clock(question: str) -> bool:
    """Whether it asks for the time or the date, here and now, and for nothing else."""
    return len(question) <= _LONGEST_WHOLE and bool(_CLOCK.search(question)) and not _BARE_EN.search(question)


def exchange(question: str) -> bool:
    """Whether it asks what one currency is worth in another, and not how the shop counts."""
    return len(question) <= _LONGEST_WHOLE and bool(_EXCHANGE.search(question)) and not _OF_THE_SHOP.search(question)


def news(question: str) -> bool:
    """Whether it asks for news, markets, scores or traffic."""
    return len(question) <= _LONGEST_WHOLE and bool(_NEWS.search(question))
