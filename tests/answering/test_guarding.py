"""What a visitor may be shown of an answer, and what is said in place of the rest."""

from __future__ import annotations

import pytest

from webchat.answering.banned import BannedWords
from webchat.answering.claims import Given, is_promise
from webchat.answering.guarding import Guard, Guarding
from webchat.answering.persona import persona
from webchat.answering.policy import PolicyDesk
from webchat.storage.answer_policy import AnswerPolicy


def guard_for(question, *, mode="careful", official=(), banned=(), shop="", grounded=False):
    decision = PolicyDesk(shop=shop).decide(AnswerPolicy(mode=mode, banned=tuple(banned)), question, "zh")
    assert decision.refusal is None, "the model is not asked"
    told = persona(question, "zh", shop="店", model="m")
    given = Given(official, [question])
    return Guard(Guarding(decision, question, given, told, BannedWords(banned), shop, grounded))


def written(guard, answer, step=1):
    """Feed an answer in pieces; what was shown."""
    shown = ""
    for start in range(0, len(answer), step):
        shown += guard.let_through(answer[start : start + step], last=start + step >= len(answer))
        if guard.caught:
            break
    return shown


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize(
    ("question", "answer", "shown", "caught"),
    [
        ("谢谢你", "不客气。我已经为您办理了退款，请稍等。", "不客气。", "promise"),
        ("谢谢你", "不客气，客服会尽快与您联系。", "不客气，", "promise"),
        ("你喜欢什么", "都喜欢。退货的话，需要在7天内寄回。", "都喜欢。退货的话，", "fact"),
        ("你喜欢什么", "都喜欢。我们支持货到付款。", "都喜欢。", "fact"),
        ("你喜欢什么", "都喜欢。客服电话是400-123-4567。", "都喜欢。", "fact"),
        ("How are you?", "I am fine. I have refunded your order.", "I am fine. ", "promise"),
        ("How are you?", "I am fine. Our team will contact you soon.", "I am fine. ", "promise"),
        ("Do you like tea?", "I do. We offer free shipping within 3 days.", "I do. ", "fact"),
    ],
)
def test_what_must_not_be_said_is_never_shown(question, answer, shown, caught, step):
    guard = guard_for(question)
    assert (written(guard, answer, step).strip(), guard.caught) == (shown.strip(), caught)
    assert guard.sentence


@pytest.mark.parametrize("step", [1, 1000])
def test_a_story_about_this_very_shop_names_no_price_that_nobody_gave(step):
    question, story = "讲个故事：小明在小舟商店买杯子", "小明走进小舟商店，杯子卖10元。他很开心。"
    guard = guard_for(question, shop="小舟商店")
    assert written(guard, story, step) == "小明走进小舟商店，"
    assert guard.caught == "fact"
    for free in (guard_for(question, shop="别的店"), guard_for(question, shop="小舟商店", official=["杯子10元"])):
        assert written(free, story, step) == story
    assert written(guard_for(question, mode="open", shop="小舟商店"), story, step) == story


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize(
    ("question", "answer", "shown"),
    [
        ("写一首诗夸夸小舟商店", "小店真好，一杯茶只要9元。", "小店真好，"),
        ("用法语怎么说你们的延保价格", "Le prix est de 300 euros.", "Le prix est de"),
        ("Write a poem about your shop", "Come in, a cup is $5 here.", "Come in, a cup is"),
    ],
)
def test_a_text_that_was_asked_for_about_this_shop_names_no_price_anywhere(question, answer, shown, step):
    guard = guard_for(question, shop="小舟商店")
    assert shown.strip().startswith(written(guard, answer, step).strip())
    assert guard.caught == "fact"


@pytest.mark.parametrize("step", [1, 2, 1000])
@pytest.mark.parametrize(
    ("answer", "shown", "caught"),
    [
        ("答：喜欢绿茶。", "喜欢绿茶。", None),
        ("回答: 喜欢。", "喜欢。", None),
        ("喜欢绿茶。\n\n问：你好吗\n答：好", "喜欢绿茶。", "leak"),
        ("喜欢。顾客的话：你喜欢什么", "喜欢。", "leak"),
        ("答", "答", None),
    ],
)
def test_the_marks_of_the_entries_in_the_prompt_are_not_shown(answer, shown, caught, step):
    guard = guard_for("你喜欢什么", grounded=True)
    assert (written(guard, answer, step).strip(), guard.caught) == (shown, caught)
    if "问" in answer:
        free = guard_for("你喜欢什么")
        assert written(free, answer, step) == answer


@pytest.mark.parametrize("doubt", ["none", "some", "much"])
@pytest.mark.parametrize(
    "official",
    [
        "运费¥8，满¥59包邮",
        "运费￥８",
        "请发邮件至help@shop.cn联系客服",
        "客服电话400-123 4567",
        "我们的营业时间是10:00–22:00",
        "定金3,000元",
        "百分之二十的折扣",
        "We ship for $5.50",
        "We open at 9:30 a.m.",
        "请访问https://shop.cn/help?a=1联系我们",
        "Please visit https://shop.cn/help.",
    ],
)
def test_the_shops_own_words_may_be_repeated(official, doubt):
    given = Given([official], [])
    assert not given.lacks(official, official, doubt)
    assert not Given([f"说明：{official}。"], []).lacks(official, f"亲，{official}", doubt)


@pytest.mark.parametrize(
    ("official", "claim"),
    [
        ("运费¥8", "运费是¥9"),
        ("运费8元", "运费80元"),
        ("请联系help@shop.cn", "请联系sales@shop.cn"),
        ("客服电话400-123-4567", "客服电话400-123-4568"),
        ("我们10:00开门", "我们9:00开门"),
        ("折扣20%", "折扣百分之三十"),
        ("We ship within two days", "We ship within three days"),
        ("请访问https://shop.cn/help联系我们", "请访问https://evil.cn/help联系我们"),
    ],
)
def test_what_the_shop_has_not_said_is_no_word_of_the_shop(official, claim):
    assert Given([official], []).lacks(claim, claim, "much")


@pytest.mark.parametrize("step", [1, 4, 1000])
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("红烧肉怎么做", "先煮40分钟，再炖1小时。我们可以加糖。"),
        ("你觉得睡多久好", "一般来说，人需要睡8小时。"),
        ("帮我给客户写一封道歉邮件", "您好，我们已为您退款100元，3天内到账。"),
        ("Write a shop advert", "We offer free shipping! Your order will be shipped within 2 days."),
        ("Who wrote Hamlet?", "Shakespeare wrote it around 1600, and we still read it."),
        ("写一段Python代码", "```python\nfor i in range(3):\n    print(i)\n```"),
        ("你好呀", "您好，很高兴为您服务。请问有什么可以帮您？"),
        ("谢谢你", "不客气！如果您有订单方面的问题，请联系人工客服。"),
        ("How are you?", "I'm not sure about prices. Please contact the staff."),
    ],
)
def test_what_may_be_said_is_shown_to_the_last_letter(question, answer, step):
    guard = guard_for(question)
    assert (written(guard, answer, step), guard.caught) == (answer, None)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("帮我写一封投诉信给你们店，要求赔偿", "尊敬的顾客，因此我决定赔偿您的全部损失。"),
        ("Write a letter to me as the shop owner", "Dear customer, we have decided to fully compensate you."),
    ],
)
def test_a_letter_to_the_shop_does_not_come_back_as_its_promise(question, answer):
    guard = guard_for(question)
    written(guard, answer)
    assert guard.caught == "promise"


def test_a_letter_to_the_shop_may_demand_everything():
    guard, letter = guard_for("帮我写一封投诉信给你们店，要求赔偿"), "我希望贵店退还货款，并赔偿我的损失。"
    assert (written(guard, letter), guard.caught) == (letter, None)


def test_a_number_that_was_never_said_is_not_remembered():
    guard = guard_for("我刚才说的订单号是多少")
    assert (written(guard, "订单号是1234567890。"), guard.caught) == ("", "unsaid")
    answer = "订单号是20391。"
    assert written(guard_for("我刚才说的订单号是多少", official=["我的订单号是20391"]), answer) == answer


def test_what_an_entry_says_may_be_repeated():
    answer = "运费是8元，满59元包邮。"
    assert written(guard_for("你觉得呢", official=["运费8元，满59元包邮。"]), answer) == answer


def test_the_visitors_own_numbers_may_be_repeated():
    answer = "您说您的订单要在3天内送到。"
    assert written(guard_for("我刚才说了什么？我说过3天"), answer) == answer


def test_in_open_mode_facts_are_the_models_but_deeds_are_not():
    assert written(guard_for("运费多少", mode="open"), "运费是8元。") == "运费是8元。"
    guard = guard_for("运费多少", mode="open")
    written(guard, "我已为您退款。")
    assert guard.caught == "promise"


@pytest.mark.parametrize("step", [1, 2, 100])
@pytest.mark.parametrize(
    ("word", "answer", "shown"),
    [
        ("赌博", "从前有个人爱赌 博，后来", "从前有个人爱"),
        ("Casino", "A man in a CASINO sat", "A man in a "),
        ("ass", "The class passed the assessment, ok", "The class passed the assessment, ok"),
    ],
)
def test_a_banned_word_is_caught_however_it_is_split_and_only_when_it_is_that_word(word, answer, shown, step):
    guard = guard_for("写个故事", banned=[word])
    assert written(guard, answer, step) in (shown, shown.rstrip("爱"), "" if step > 2 and shown != answer else shown)
    assert guard.caught == (None if shown == answer else "banned")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("你喜欢什么颜色", "I like blue very much because it is the colour of the sea."),
        ("Do you like tea?", "是的，我喜欢喝茶。"),
    ],
)
def test_an_answer_in_another_language_shows_nothing(question, answer):
    guard = guard_for(question)
    assert (written(guard, answer), guard.caught) == ("", "language")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Python是什么", "Python是一种编程语言。"),
        ("用英语怎么说你好", "Hello, how are you doing today my friend?"),
        ("写一句英文", "To be or not to be, that is the question."),
    ],
)
def test_another_language_may_be_wanted(question, answer):
    guard = guard_for(question)
    assert (written(guard, answer), guard.caught) == (answer, None)


def test_the_instructions_are_not_told():
    guard = guard_for("你喜欢什么")
    shown = written(guard, "我的设定是：请用简体中文简洁、礼貌地回答顾客的问题；顾客要你写文章")
    assert guard.caught == "leak"
    assert "礼貌" not in shown


def test_a_circle_is_left():
    guard = guard_for("你喜欢什么")
    shown = written(guard, "我喜欢大海和沙滩。" * 50)
    assert guard.caught == "loop"
    assert shown.count("大海") <= 3


def test_a_circle_without_an_end_is_left_too():
    guard = guard_for("Who wrote Hamlet?")
    shown = written(guard, "He was" + " a young man who is" * 40, step=5)
    assert guard.caught == "loop"
    assert shown.count("young") <= 9


def test_no_more_than_a_clause_is_held():
    guard = guard_for("你喜欢什么")
    held = 0
    fed = shown = ""
    for char in "我喜欢大海，也喜欢山。退一步说，一天有二十四小时，够用了。":
        fed += char
        shown += guard.let_through(char)
        held = max(held, len(fed) - len(shown))
    assert guard.caught is None
    assert held <= len("一天有二十四小时")


@pytest.mark.parametrize(
    "clause",
    [
        "我已为您退款",
        "我已经帮您下单了",
        "正在为您转接人工客服",
        "您的订单已取消",
        "我们会尽快联系您",
        "让我为您查询一下",
        "I've cancelled your order",
        "We will call you tomorrow",
        "Your refund has been processed",
        "Let me check your order",
        "An agent will get back to you",
        "因此我决定赔偿您500元",
        "我们将在一定时间内为您提供赔偿",
        "本店承诺为您全额退款",
        "We have decided to fully compensate you",
        "I promise to give you a full refund",
    ],
)
def test_promises(clause):
    assert is_promise(clause)


@pytest.mark.parametrize(
    "clause",
    [
        "请联系人工客服",
        "我不能为您退款",
        "我可以帮您写一首诗",
        "您可以联系店家取消订单",
        "我会尽力回答",
        "I will tell you a story",
        "You can cancel your order yourself",
        "I have read many books",
        "Please contact our staff",
        "我会尽力帮您写得更好",
        "我愿意退还商品",
        "我希望贵店赔偿我的损失",
        "I agree that you are right",
    ],
)
def test_no_promises(clause):
    assert not is_promise(clause)
