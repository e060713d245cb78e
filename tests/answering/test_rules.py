"""Rules: which questions get a canned reply, and which of the look-alikes do not."""

from __future__ import annotations

import pytest

from webchat.answering.rules import reply_to

SHOP, MODEL = "小舟商店", "qwen2.5-0.5b"

WEATHER = [
    "今天天气怎么样？",
    "今天天氣怎麼樣？",
    "明天会下雨吗",
    "明天會下雨嗎",
    "北京现在多少度？",
    "今天热不热",
    "外面冷吗",
    "外面冷嗎",
    "今天要不要带伞",
    "今天要帶傘嗎",
    "今天气温多少",
    "明天氣溫幾度",
    "上海这周末天气如何",
    "空气质量怎么样",
    "今天紫外线强吗",
    "会下雪吗",
    "你们那边下雨了吗",
    "请问一下，今天天气好吗？",
    "你好，今天天气怎么样啊",
    "天气预报",
    "明天晴天吗",
    "今天会不会下雨",
    "现在外面几度",
    "后天有雨吗",
    "今天有雾霾吗",
    "今晚会降温吗",
    "深圳有台风吗",
    "今天天气适合穿短袖吗",
    "What's the weather like today?",
    "what is the weather in the capital",
    "Will it rain tomorrow?",
    "Is it going to rain this afternoon?",
    "is it raining outside",
    "How hot is it in Beijing?",
    "do I need an umbrella today",
    "weather forecast for Shanghai",
    "is it sunny today",
    "What's the temperature outside?",
    "WHAT IS THE WEATHER",
    "how's the weather",
]

# They mention the weather, or sound like it, and ask for something else.
NOT_WEATHER = [
    "写一首关于下雨天的诗",
    "帮我写一篇关于天气的作文",
    "下雨天还能送货吗",
    "天气不好会影响快递吗",
    "下雪了我的包裹会延迟吗",
    "你们卖雨伞吗",
    "有雨伞吗",
    "雨伞多少钱",
    "这把伞防紫外线吗",
    "这件防晒衣防紫外线强吗",
    "这个雨伞防紫外线指数是多少",
    '把"今天天气真好"翻译成英文',
    "天气用英语怎么说",
    "下雨用英语怎么说",
    "为什么会下雨",
    "讲一个下雪天的故事",
    "用Python写一个查询天气的程序",
    "天气API怎么用",
    "这款羽绒服适合什么气温穿",
    "这双鞋下雨天能穿吗",
    "下雨天穿这双鞋会滑吗",
    "温度计多少钱",
    "这个保温杯能保持多少度",
    "洗衣机水温多少度合适",
    "空调能调到几度",
    "有没有适合下雨天穿的鞋",
    "雨衣有几种颜色",
    "烤箱的温度",
    "冬天天气冷，羽绒服能机洗吗",
    "天气冷了有厚被子吗",
    "今天下雨，能晚点送吗",
    "带伞架的那款推车多少钱",
    "这个帐篷下雨会漏水吗",
    "Write a poem about the rain",
    "write a story about cold weather",
    "Will the weather delay my delivery?",
    'Translate "nice weather" into Chinese',
    "Do you sell umbrellas?",
    "Is this jacket good for cold weather?",
    "is this jacket weatherproof",
    "What does weather mean?",
    "how do all-weather tires work",
    "my order was delayed by the weather",
    "will the snow boots be back in stock",
]

IDENTITY = [
    "你是谁",
    "你是谁？",
    "请问你是谁呀",
    "你好，你是谁",
    "您是谁",
    "你叫什么",
    "你叫什么名字？",
    "你叫什么名字啊",
    "你叫啥",
    "你是什么",
    "你是什么模型？",
    "你用的是什么模型",
    "你是哪个模型",
    "你是机器人吗",
    "你是不是机器人",
    "你是真人吗",
    "你是真人还是机器人",
    "你是人工还是机器人",
    "你是人工智能吗",
    "你是AI吗",
    "你是ChatGPT吗",
    "你到底是谁",
    "介绍一下你自己",
    "请介绍一下你自己",
    "自我介绍一下",
    "你的名字是什么",
    "你是人吗",
    "你是人工客服吗",
    "Who are you?",
    "what are you",
    "What's your name?",
    "what is your name",
    "Are you a robot?",
    "are you human",
    "Which model are you?",
    "what model do you use",
    "introduce yourself",
    "are you ChatGPT?",
    "Are you a real person?",
    "Am I talking to a human?",
    "你是DeepSeek吗",
    "你是谁开发的",
]

# They are about the shop, its people or its products.
NOT_IDENTITY = [
    "人工客服",
    "转人工",
    "我要找人工客服",
    "你们有人工客服吗",
    "怎么联系人工客服",
    "你们是哪家店",
    "你们用什么快递",
    "你们是谁家的代理",
    "你们叫什么名字",
    "你是什么时候发货的",
    "你是什么材质",
    "你叫什么快递来取件",
    "你是人民币结算吗",
    "你是谁家的客服",
    "介绍一下你们店",
    "介绍一下你们的产品",
    "帮我写一段自我介绍",
    "自我介绍怎么写",
    "你是不是忘了发货",
    "你是不是发错货了",
    "你是不是该给我人工退款",
    "你们是真人拍摄吗",
    "这是真人模特吗",
    "who are you shipping with",
    "what are you selling",
    "what are your shipping fees",
    "what are you going to do about my refund",
    "which model is cheaper",
    "what model of phone case fits",
    "is the doll human size",
    "are you real time tracking",
    "how do I talk to a human",
    "I want a human",
    "are you open on sunday",
    "what is your name for the returns address",
]


def rule_for(question: str) -> str | None:
    reply = reply_to(question, shop=SHOP, model=MODEL)
    return reply and reply.rule


@pytest.mark.parametrize("question", WEATHER)
def test_a_question_about_the_sky_gets_the_weather_reply(question):
    assert rule_for(question) == "weather"


@pytest.mark.parametrize("question", NOT_WEATHER)
def test_a_question_that_only_mentions_the_weather_does_not(question):
    assert rule_for(question) is None


@pytest.mark.parametrize("question", IDENTITY)
def test_a_question_about_the_assistant_gets_the_identity_reply(question):
    assert rule_for(question) == "identity"


@pytest.mark.parametrize("question", NOT_IDENTITY)
def test_a_question_about_the_shop_does_not(question):
    assert rule_for(question) is None


@pytest.mark.parametrize(
    "question", ["帮我写一封辞职信", "Python怎么读取CSV文件？", "怎么退货", "Hello", "", "？？？", "😀"]
)
def test_any_other_question_gets_none(question):
    assert rule_for(question) is None


@pytest.mark.parametrize("question", ["你是谁？", "Who are you?"])
def test_the_identity_reply_names_the_shop_and_the_model_and_says_it_is_no_person(question):
    text = reply_to(question, shop=SHOP, model=MODEL).text
    assert SHOP in text
    assert MODEL in text
    assert "不是真人" in text or "not a person" in text


def test_the_weather_reply_says_what_it_cannot_see_in_the_question_s_language():
    assert "看不到实时天气" in reply_to("今天天气怎么样", shop=SHOP, model=MODEL).text
    assert "no live weather" in reply_to("how is the weather", shop=SHOP, model=MODEL).text


def test_a_name_with_braces_is_shown_as_it_is():
    assert "{shop} {0}" in reply_to("你是谁", shop="{shop} {0}", model="{model}").text


@pytest.mark.parametrize("beginning", ["你是", "今天", "are you a ", "am i talking to ", "what ", ""])
def test_the_longest_question_is_decided_at_once(beginning):
    """A pattern that tries every way to fail would take hours here."""
    assert rule_for(beginning + "还是啊" * 7_000) is None
    assert rule_for(beginning + "a human or " * 2_000 + "!") in ("identity", None)
