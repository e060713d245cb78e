"""Somebody wants a person, or insults one. Whole messages only: 转人工 is a wish, 人工客服几点上班 a question."""

from __future__ import annotations

import re

_PERSON_ZH = (
    r"(?:人工(?:智能)?(?:客服|服务|坐席|座席|客服人员|服务人员|处理|回复|回答|解答|接待)?|真人(?:客服|服务)?"
    r"|(?:真正的|真的|大)?活?人(?:客服)"
    r"|(?:真正的|真的|大)活人|真正的人|客服(?:人员|专员|小姐姐|小哥)?|客户服务|(?:专属|在线|售后|售前)客服|工作人员"
    r"|专员)"
)
_HUMAN = re.compile(
    # 转人工 and its like; bare 人工客服 too.
    r"^(?:麻烦|请|帮|给|替|能不能|能|可不可以|可以|可|我们|我|咱|俺|你们|你|您|想|要|需要|希望|必须|直接|赶紧|赶快"
    r"|快点|快|立刻|马上|现在|就|还是|那|算了|不行"
    r"|一下|一个|一位|个|位|不想跟|不要|别|机器人|机器|ai|聊天?|说话|了|亲|急|转接?|轉接?|接通?|连接|换|換|切换?"
    r"|切到|呼叫|召唤|喊|叫|找|联系|聯繫|聯絡|联络"
    r"|来|安排|和|跟|与|同|到|至|用|成|的|进|去| )*+"
    rf"{_PERSON_ZH}"
    r"(?:说话|说|聊天?|沟通|谈|对话|通话|交流|联系我?|处理|解决|回复我?|回答我?|帮我|帮忙|来|一下|谢谢|吧|行吗"
    r"|行不行|可以吗|好吗|好不好|啊|呀|了|啦|嘛|呢|吗)*+$"
    r"|^(?:请问)?(?:你们)?(?:这里|这边)?(?:有没有|有|没有)(?:人工|真人|人工客服|真人客服|人工服务)(?:吗|么|没|啊|呢)*+$"
    r"|^(?:我?(?:要|想|需要)|让|叫|把|给我|帮我|请)++(?:找|叫|联系|见|和|跟)*+(?:一下)?(?:你们|你|您"
    r"|店里)?的?(?:经理|老板|店长|负责人|主管|领导|管事的)(?:出来|说话|来|叫来|叫出来|谈|联系我|沟通|吧)*+$"
    r"|^(?:我)?(?:不想|不要|别|不跟|不愿意?|拒绝)(?:再)?(?:和|跟|用|让)?(?:机器人?|ai|自动回复)(?:来)?(?:聊天?|说话"
    r"|说|回复我?|回答我?|交流|沟通|敷衍我?)*了?$"
)

_PERSON = (
    r"(?:(?:an?|the|your|some|any|one of your|another) )?(?:(?:real|live|actual|human|physical|breathing|living) )*+"
    r"(?:human(?: being)?|person|people|agent|representative|rep|operator|someone(?: real)?|somebody(?: real)?"
    r"|customer (?:service|support|care)|support|human support"
    r"|support (?:agent|person|team|staff)|service (?:agent|rep|representative)|manager|supervisor|member of staff"
    r"|staff member|staff|advisor|adviser|employee|worker)"
    r"(?: (?:agent|representative|rep|operator|person|being|human|team|member|advisor"
    r"|department))*(?: who is (?:real|human))?"
)
_TAIL = (
    r"(?: (?:please|pls|now|right now|instead|immediately|asap|here|today|thanks|thank you|directly|about (?:this"
    r"|it|that)|for (?:help|this)|to help(?: me)?"
    r"|on the (?:phone|line)|not (?:a|an|the) (?:bot|robot|machine|ai)|to (?:talk|speak|chat)(?: to"
    r"| with)?)(?![a-z]))*+$"
)
_LEAD = r"^(?:(?:please|pls|ok|okay|hi|hello|hey|no|just|sorry|yes|well|but|so|enough) )*+"
_WISH = (
    r"(?:i (?:just |really )?(?:want|need|would like|d like|wish|demand|would prefer|prefer|have|must)(?: to"
    r"| you to)? |(?:can|could|may|would|will) (?:i|you|we|someone) (?:please |just )?|let me |id like to |i wanna "
    r"|we (?:want|need) to |wanna )"
)
_VERB = (
    r"(?:(?:talk|speak|chat|talking|speaking|communicate)(?: directly)? (?:to|with) |(?:connect|transfer|switch|put"
    r"|hand|forward|pass|redirect|escalate|refer|send)(?: me| this| us| it)?(?: over| through| on)*(?: (?:to"
    r"|with))? "
    r"|(?:get|give|find|bring|call|contact|reach|have|see)(?: me)?(?: to)? )"
)
# Alone these few words are a wish; "support" or "someone" alone could be anything.
_ALONE = (
    r"(?:(?:an? )?(?:real |live |actual )?human(?: (?:agent|being|support|please|operator|representative))?"
    r"|(?:an? )?(?:real|actual|live) person|(?:an? )?live (?:agent|chat|support|operator)"
    r"|customer (?:service|support|care)(?: (?:agent|representative|rep))?|(?:speak to |an? )?(?:agent"
    r"|representative|operator))"
)
_HUMAN_EN = re.compile(
    rf"{_LEAD}(?:(?:{_WISH})++(?:{_VERB})?{_PERSON}|{_VERB}{_PERSON}|{_ALONE}){_TAIL}"
    r"|^(?:i (?:do not|don t|dont) want|stop|no more) (?:to )?(?:talk(?:ing)? to|chat(?:ting)? with"
    r"|speak(?:ing)? (?:to|with))? ?(?:a|an|this|the)? ?(?:bots?|robots?|machines?|ai|chatbots?)(?: anymore)?$"
    r"|^(?:is there|are there) (?:a|an|any) (?:real |live |actual )*(?:humans?|persons?|people|agents?"
    r"|human agents?) (?:i can|to|that i can) (?:talk|speak|chat) (?:to|with)$"
)

_INSULT_ZH = (
    r"(?:傻[逼比bB叉吊屌×x批]|煞笔|傻子|傻瓜|二逼|蠢货|蠢猪|蠢蛋|白痴|白癡|智障|弱智|脑残|腦殘|废物|廢物|垃圾|混蛋"
    r"|王八蛋|狗东西|狗屎|狗屁|贱人|贱货|婊子|人渣|败类|神经病|有病|有毛病|猪头?"
    r"|去死|去你[妈媽]的?|[操草艹肏日干][你您]?(?:[妈媽娘]|大爷|全家)的?|[你您](?:[妈媽][逼的比]?|全家)(?:死了)?"
    r"|[他它她]?[妈媽]的|[妈媽]了个?[逼巴比]|尼玛|滚蛋|滚开|滚粗|滚|滾|闭嘴|閉嘴|"
    r"(?<![a-z])(?:sb|nmsl|cnm|tmd|wcnm|fuck(?:you|u)?|shabi)(?![a-z]))"
)
_ABUSE = re.compile(
    rf"^(?:{_INSULT_ZH}|你们?|您|真他妈|真|是个?|就是个?|简直是?|都是|全是|[一这]群|[一这]帮|一个|个|这个?|破|太|好"
    rf"|这么|怎么|他妈|特么|死|臭|大|机器人|机器|客服|ai|东西|玩意儿?|骗子|吧|啊|吗|的|了|给我|你个|去|吃|和|呀|逼"
    rf"|货|全家|开|远点| )++$"
)
_INSULTED_ZH = re.compile(_INSULT_ZH)
# Alone these are exclamations or things: 垃圾 may be what a bin is for, 猪 a toy.
_HARMLESS_ZH = re.compile(
    r"^(?:垃圾|猪头?|有病|有毛病|神经病|[你您][妈媽]|[你您]全家|傻瓜|废物|廢物|我?干)[吗嗎啊呀的了]*$"
)
_INSULT = (
    r"(?:stupid|idiots?|idiotic|dumb(?:ass)?|moron(?:s|ic)?|useless|assholes?|bitch(?:es)?|bastards?|trash|garbage"
    r"|retard(?:ed|s)?|pieces? of (?:shit|crap|garbage|trash)|shit(?:ty)?|crap(?:py)?|suck|sucks|pathetic|worthless"
    r"|cunts?|dickheads?|pricks?|wankers?|scum|dumbfuck|fool)"
)
_ABUSE_EN = re.compile(
    r"^(?:(?:you|u|ur|ya|your|this|what|it|that|the|what|such|hey|oh|ok|are|re|is|r|s|a|an|so|really|very|fucking"
    r"|freaking|damn|bloody|just|all|absolutely|totally|completely|bunch of|and|what|fuck off|fuck(?:ing|er|ers|s)?"
    r"|shut up|shut the fuck up|stfu|piss off|screw you|damn you|go to hell|go die|kill yourself|kys|eat shit"
    r"|go fuck yourself|up yours|yourself|motherfuckers?|what|bots?|robots?|machines?|ai|chatbots?|assistant|thing"
    rf"|{_INSULT})(?![a-z]) ?)++$"
)
_INSULTED = re.compile(
    rf"(?<![a-z])(?:{_INSULT}|fuck(?:ing|er|ers)? ?(?:you|off|u|yourself)|you fuck(?:er|ers|ing)?|^fuck|shut up"
    rf"|shut the fuck up|stfu|piss off|screw you|damn you|go to hell|go die|kill yourself|kys|eat shit|go fuck"
    rf"|up yours|motherfuckers?)(?![a-z])"
)
# "this sucks" and "it is garbage" are about a product or a parcel.
_ABOUT_A_THING = re.compile(
    r"^(?:this|it|that|the thing|what)(?![a-z])(?!.*(?<![a-z])(?:bots?|robots?|machines?|ai|chatbots?"
    r"|assistant)(?![a-z]))"
)

_LONGEST = 60  # characters: who writes more has something to say


def human(spelled: str) -> bool:
    """Whether a message, as ``spelling`` gives it, wants a person and says nothing else."""
    return len(spelled) <= _LONGEST and bool(_HUMAN.search(spelled) or _HUMAN_EN.search(spelled))


def abuse(spelled: str) -> bool:
    """Whether a message only insults. An angry customer with a question has a question."""
    if len(spelled) > _LONGEST:
        return False
    if _ABUSE.search(spelled) and _INSULTED_ZH.search(spelled):
        return not _HARMLESS_ZH.search(spelled)
    return bool(_ABUSE_EN.search(spelled) and _INSULTED.search(spelled)) and not _ABOUT_A_THING.search(spelled)
