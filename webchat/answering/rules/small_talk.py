"""What belongs to talking itself: greetings, thanks, who the assistant is. Whole messages only.

你好，怎么退款 is no greeting and "thanks, and the postage?" no thanks: what they ask would be lost.
"""

from __future__ import annotations

import re

_PARTICLES = r"[啊呀哇呢哦噢喔哈嘿吖鸭吗嗎么嘛啦了的]*+"
_CALLED = (
    r"(?:亲爱的|亲们?|親|老板娘?|老闆|店家|店主|掌柜的?|商家|卖家|客服|小二|机器人|助手|小助手|小姐姐|小哥哥|先生"
    r"|女士|朋友|各位|大家)"
)

_GREETING = re.compile(
    rf"^(?:(?:{_CALLED}好?|[你您妳](?:们|們)?好|(?:大家|各位)好|好久不见|哈[喽啰咯罗囉]|嗨|嘿|喂|hi|hello|hey|hallo"
    rf"|halo"
    r"|早上好|上午好|中午好|下午好|晚上好|早安|午安|早|(?:你|您)?(?:还)?在(?:吗|嗎|么|不在|不|线吗)"
    r"|有人(?:在)?(?:吗|嗎|么|没)|有人在)"
    rf"{_PARTICLES} ?)++$"
    r"|^(?:(?:hi+|hello+|hey+|hiya|howdy|yo|greetings|hola|good (?:morning|afternoon|evening|day)|morning|afternoon"
    r"|evening"
    r"|(?:is )?(?:anyone|anybody|someone|somebody) (?:there|here)|are you there|how are (?:you|u|ya)(?: doing)?"
    r"|how (?:is|s) it going|what s up|whats up|how do you do"
    r"|nice to meet you|pleased to meet you|how (?:is|s) your day(?: going)?|how have you been"
    r"|there|everyone|everybody|all|guys|folks|team|bot|robot|assistant|friend|buddy|mate|again|sir|madam|ma am"
    r"|dear|today|to you|my|and|just saying|saying|wanted to say|i|so far|now)(?![a-z]) ?)++$"
)
# At least one of these; a name or "there" alone greets nobody.
_GREETS = re.compile(
    r"好|哈[喽啰咯罗囉]|嗨|嘿|喂|好久不见|早|午安|在|有人|(?<![a-z])(?:hi+|hello+|hey+|hallo|halo|hiya|howdy|yo"
    r"|greetings|hola)(?![a-z])"
    r"|good (?:morning|afternoon|evening|day)|one (?:there|here)|body (?:there|here)|are you there|^(?:morning"
    r"|afternoon|evening)$"
    r"|how are|how (?:is|s) |what ?s up|how do you do|meet you|how have"
)

_THANKS = re.compile(
    r"^(?:(?:好的?|嗯+|恩|哦+|噢|行|ok(?:ay)?|可以了?|没事了?|沒事了|知道了?|明白了?|懂了|了解了?|收到|清楚了"
    r"|太好了|太棒了|不用了|那就|那|先这样|就这样|没问题了|解决了|真的|真是|真心"
    r"|(?:你|您)(?:们)?(?:真好|太好了|的(?:帮助|回复|回答|解答|耐心|服务))|为我(?:解答|服务)"
    r"|(?:非常|十分|太|多|万分|很|真|实在|特别|衷心|先)*+(?:谢谢|谢|謝謝|感谢|感謝|感恩|多谢|多謝|谢啦|谢咯|蟹蟹|3q"
    r"|thx|thanks|thank you)(?:你们|您们|你|您|妳|大家|各位|客服|老板|亲|啦|了|咯|哈|哦|啊|呀|呢|的|帮忙|帮助|帮我"
    r"|指教|回复|耐心解答|解答|告知|提醒|支持|关心|一下)*+"
    r"|(?:你|您)?(?:辛苦|费心|麻烦你|麻烦您|劳驾|有心)(?:你们|你|您|了|啦|哈)++|再见|再見|拜++|88++|byebye|bye|回见"
    r"|回头见|下次见|明天见|晚安|告辞|先走了|祝(?:你|您)?(?:生意兴隆|工作顺利|生活愉快|好运)|啦|了|哦|啊|呀|哈|亲"
    r"|客服|老板) ?)++$"
    r"|^(?:(?:ok(?:ay)?|great|perfect|good|cool|nice|awesome|alright|all right|fine|yes|no|got it|i see|understood"
    r"|excellent|wonderful|lovely|brilliant|amazing|oh|ah|well|and|then|that (?:is|s) all|that will be all"
    r"|that helps|it helped|really|very|so|much|a lot|a bunch|a million|a ton|tons|many|again|indeed|for now"
    r"|thanks|thank you|thank u|thankyou|thx|thanx|tysm|ty|ta|cheers|much appreciated|appreciated"
    r"|i appreciate (?:it|that|you|your help|this|the help)|appreciate (?:it|that|your help)|grateful|i am (?:very "
    r"|so )?grateful"
    r"|(?:for )?(?:your|the|all your|all the|all of your) (?:help|assistance|time|reply|answer|answers|support"
    r"|patience|information|info|quick reply|service)|for (?:that|this|helping(?: me)?(?: out)?|everything"
    r"|answering|it|helping me today|doing that)"
    r"|bye|goodbye|good bye|bye bye|see you(?: later| soon)?|see ya|later|have a (?:nice|good|great|lovely) (?:day"
    r"|one|evening|weekend)|good night|take care|you too"
    r"|sir|madam|ma am|bot|buddy|friend|mate|man|dear|you|kindly|i|just|wanted to|want to|say|you are (?:great"
    r"|awesome|very helpful|so helpful|the best)|you re (?:great|awesome|the best)|you have been (?:very |so "
    r"|really )?helpful|that was (?:very |so |really )?(?:helpful|great|useful|kind)|that is (?:very |so "
    r"|really )?(?:helpful|great|useful))(?![a-z]) ?)++$"
)
_THANKED = re.compile(
    r"谢|謝|感恩|感激|3q|辛苦|费心|麻烦[你您]了|劳驾|再[见見]|拜|^88+$|回见|回头见|下次见|明天见|晚安|告辞|先走了"
    r"|祝[你您]?|thx|thank|(?<![a-z])(?:thanx|tysm|ty|ta|cheers|bye|see ya|see you)(?![a-z])"
    r"|appreciate|grateful|goodbye|good night|byebye|take care|have a |(?<![a-z])bye"
)
_THANKS_FOR_NOTHING = re.compile(r"nothing|才怪|个屁|个鬼")

# Whole questions only: 你是什么材质 is about a product, "who are you shipping with" about parcels.
_IDENTITY = re.compile(
    r"^(?:那|所以|话说)?[你您](?:到底|究竟)?(?:"
    r"是[谁誰](?:开发的|做的|训练的)?|[谁誰]|是哪位|叫(?:什么|啥)(?:名字)?|的名字(?:是|叫)?(?:什么|啥)?|是(?:什么"
    r"|啥)(?:人|东西|ai)?"
    r"|(?:是|用的?|用的是|背后是|背后的模型是)(?:什么|哪个|哪种|啥)(?:ai|大|语言|大语言)?(?:模型)?|(?:做个"
    r"|来个)?自我介绍(?:一下)?"
    r"|是(?:不是)?(?:一?个)?(?:真人|人|人工|人工智能|智能|机器人|ai|chatgpt|gpt|deepseek|千问|通义千问|qwen)(?:客服"
    r"|助手)?(?:还是.{1,8})?"
    r")$"
    r"|介绍一下[你您]自己|^自我介绍(?:一下)?$"
    r"|\b(?:who|what) (?:are|r) (?:you|u)(?: exactly| really)?$|\bwhat ?(?:is|s) your name$|\bintroduce yourself\b"
    r"|\bwh(?:at|ich) (?:ai |language )?model (?:are you|do you (?:use|run)|is this)\b"
    r"|\b(?:are you|is this|am i (?:talking|speaking|chatting) (?:to|with)) (?:an? )?(?:real )?"
    r"(?:human|person|robot|bot|chatbot|machine|ai|chatgpt|gpt)(?: or .*)?$"
)
_LONGEST = 60  # characters of a greeting or of thanks


def greeting(spelled: str) -> bool:
    """Whether a message, as ``spelling`` gives it, greets and does nothing else."""
    return len(spelled) <= _LONGEST and bool(_GREETING.search(spelled)) and bool(_GREETS.search(spelled))


def thanks(spelled: str) -> bool:
    """Whether a message thanks, or says good-bye, and does nothing else."""
    return (
        len(spelled) <= _LONGEST
        and bool(_THANKS.search(spelled))
        and bool(_THANKED.search(spelled))
        and not _THANKS_FOR_NOTHING.search(spelled)
    )


def identity(question: str) -> bool:
    """Whether a normalised question is about who or what the assistant is."""
    return bool(_IDENTITY.search(question))
