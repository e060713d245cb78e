"""The words by which a question's kind is told, in Chinese and English.

Patterns have no nested repetition, so the longest message costs a few milliseconds.
"""

from __future__ import annotations

import re


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


# ---- what is to be made of words, code or numbers: the answer is a text, whatever it is about ------------------------

TRANSLATE = _words(
    r"翻译|译[成为]|(?:用|换成)[英日韩法德俄中]?[语文](?:怎么|咋|如何)?(?:说|讲|写|表达)|[英日韩法德]文?[语文]?怎么(?:说|写)",
    r"\btranslat|\bin (?:english|chinese|french|spanish|german|japanese|korean)\b.{0,12}$"
    r"|\bhow (?:do (?:you|i)|to) (?:say|spell|pronounce)\b",
)
MAKE = _words(
    # 写信给你们 asks for an address and 写错 for help; 写一… is a request.
    r"(?:^|[请帮给替能会来再我,，。：:；;!！？?\s])(?:[你您我]|他们?|她)?(?:写|编|拟|起草|撰写|创作|作|润色|改写|续写|仿写|缩写|扩写|校对)"
    r"(?!信给你|错|了|着|的|业)",
    r"^写|写(?:一|几|两|三|个|份|篇|首|段|封|句|条|张|则|点|副|副|出|作)|编(?:一?个|首|段|一则)|造(?:一?个|几个)?句|作(?:一?首|诗|文|词)",
    r"(?:讲|说|来|给我|再来)(?:一?[个段则点首条]|几个|两个)?.{0,5}(?:笑话|故事|谜语|绕口令|脑筋急转弯|段子|顺口溜|对联|祝福)|猜谜|接龙|想.{0,12}(?:点子|主意|创意"
    r"|文案)|把.{0,6}[句段]话?.{0,4}[改换]|把.{0,60}(?:改得|改写|写得|说得|润色)",
    r"(?:起|取|想)(?:[一几两三四五]?个)?.{0,8}(?:名字|名称|网名|昵称|标题|口号|广告语|slogan)|(?:起|取)(?:[一几]?个)?名",
    r"(?:总结|概括|归纳|提炼|润色|改写|缩写|扩写|纠正|修改|校对).{0,6}(?:这|下面|以下|上述|段|句|文|语法|[:：])",
    r"(?:列|做|制定|设计|出|拟)(?:出|定)?(?:一?[个份张道]|几[个道份]|[两三四五十]{1,2}[个道份])",
    r"代码|编程|程序|函数|脚本|算法|正则|\b(?:python|java|javascript|typescript|sql|html|css|excel|word|ppt|linux|git"
    r"|c\+\+|golang|rust|regex)\b",
    r"(?:加|减|乘|除)以?\d|\d\s*(?:[+*/×÷^]|的平方|加|减|乘)\s*\d?|等于(?:多少|几)|(?:平方根|方程|求解|求导|积分是什么|百分之\d+是|各有?几)",
    r"\b(?:write|compose|draft|rewrite|rephrase|paraphrase|proofread|summari[sz]e|brainstorm|code|debug"
    r"|refactor|calculate|compute|solve"
    r"|convert)\b(?! (?:to you|you|down my|off\b))",
    r"\b(?:tell|give|make|sing)(?: me| us)? (?:an?|another|some|up|the|two|three|five|ten|\d+)? ?(?:\w+ )?"
    r"(?:joke|story|riddle|poem|haiku|limerick|song|fun fact|list|table|plan|outline|slogan|name|names|title"
    r"|sentence|example|examples|idea|ideas|tips|advice|recipe|summary)s?\b",
    r"\b(?:suggest|name|list|create|generate|invent|come up with|think of|make up|design"
    r"|congratulate)\b(?! (?:a missed|for|your|you"
    r"|a time|the price))",
    r"\b(?:function|algorithm|script|program|essay|poem|haiku|limerick|lyrics|cover letter)\b",
    r"\d\s*(?:[+*/×÷^%]|plus|minus|times|divided by|percent of|% of)\s*(?:of )?\d|\bsquare root\b|\bsolve\b",
)

# ---- the conversation's own words ------------------------------------------------------------------------------------

CONVERSATION = _words(
    r"(?:刚才|刚刚|之前|前面|上面|上次|早些时候|开头|一开始|先前|方才|以前)[我你您]?(?:们)?(?:是|都|跟[你我您]|和[你我您]|对[你我您]|向[你我您]|有没有)?"
    r"(?:说|问|讲|提|聊|发|写|告诉|回答|介绍|推荐|建议|列|举|给[你您我])",
    r"[我你您](?:是|都|有没有)?(?:刚才|刚刚|之前|前面|上面|上次|一开始|先前)(?:跟[你我您]|和[你我您]|对[你我您]|向[你我您]|都|有没有|是)?"
    r"(?:说|问|讲|提|聊|发|写|告诉|回答|介绍|推荐|建议|列|举|给[你您我])",
    r"我(?:有没有)?(?:跟你|和你|对你|向你|已经)?(?:说|问|提|告诉)过|我(?:说|问|告诉你|提到)的(?!对|没错)|我告诉你",
    r"(?:上|前)(?:一?[句条个段]|[两几]句)(?:话|问题|消息|回答|答案|是|说|的|再|重|什么|里|中|我|你)?|第[一二三四五六七八九十\d]+(?:个问题|句话|条消息|句"
    r"|条)(?:是|说|什么|里|我)?",
    r"(?:这|我们|咱们?)(?:段|次|的|之间|刚才)*(?:对话|聊天|谈话)(?:内容)?(?:总结|里|中|说|聊|讲|概括|是|说了)|聊(?:了|过|到)(?:什么|些什么|哪)"
    r"|(?:总结|概括|回顾)(?:一下)?(?:我们|咱们|刚才|这段|本次|上面)",
    r"(?:记得|记住|忘了?)(?:了)?(?:我|刚才|刚刚).{0,10}(?:名字|叫|说|姓|问|提|生日|爱好|喜欢|住|来自)|我叫(?:什么|啥)|我的名字(?:是|叫)",
    r"(?:请|麻烦|帮我)?(?:记一下|记住|记下来?|记好)(?:[了吧啊哦。!！]|$)",
    r"^(?:hi|hello|hey)?[,.! ]*my (?:name|order(?: number| no\.?)?|phone(?: number)?|e-?mail|address) is\b(?!.*[?])",
    r"再(?:说|讲|重复|解释)一[遍次下]|重复(?:一[遍次下]|你)|(?:没|不)(?:太)?(?:听|看)?(?:懂|明白)",
    r"\b(?:did|have|had|what|which|where|that|as|whatever) (?:i|you|we|was it i) (?:\w+ )?(?:just )?(?:say"
    r"|said|ask|asked|mention|mentioned|tell|told|talk|talked|discuss|discussed|called|suggest|suggested"
    r"|recommend|recommended|listed)\b",
    r"\b(?:i|you|we) (?:just |already |had |have )*(?:said|asked|told|mentioned|wrote|typed|suggested"
    r"|recommended|listed)\b"
    r"|\bi (?:just )?(?:gave|sent) you\b",
    r"\bdid i (?:just )?(?:give|send|say|tell|ask|mention)|\b(?:do|can) you (?:still )?(?:remember|recall)\b"
    r"|\bremind me what (?:i|we|you)\b",
    r"\b(?:my|your) (?:last|first|second|third|previous|earlier) (?:question|message|answer|reply|sentence|word)",
    r"\b(?:our|this) (?:conversation|chat|discussion)\b|\bwhat(?: i|')?s my name\b|\bwhat is my name\b"
    r"|\bso far\b.{0,20}\b(?:discussed|talked|said)"
    r"|\b(?:say|repeat) (?:that|it|this) again\b|\bwhat have we\b|\bwhere were we\b",
)
# 我刚才下的单什么时候发货 has the words and is about an order: what was done and not said.
DONE_NOT_SAID = _words(
    r"(?:到货|发货|送到|送达|退款到|能退|能改|怎么退|怎么取消|能取消|寄出|签收)",
    r"\b(?:arrive|shipped|delivered|refunded)\b|(?:can|could) i (?:still )?(?:cancel|return|change)",
)

# ---- the shop's facts ------------------------------------------------------------------------------------------------

SHOP_WORDS = _words(
    r"价[格钱位目]|多少钱|几块钱?|几元|几毛|报价|标价|原价|售价|单价|均价|收费|收[不多]?少?费|费用|学费|手续费|运费|邮费|邮资|快递费|服务费|加[收钱价]|包邮|免邮|免费|另[收付]",
    r"押金|定金|订金|首付|尾款|欠款|违约金|滞纳金|预付|退款|退货|退换|换货|退[掉回费订票房课单差改得吗不了]|能退|可退|怎么退|[想要给]退|调换|换[新一个码色]",
    r"发货|到货|送货|送达|送到|送餐|外卖|配送|寄[到出给回送存]|快递|物流|包裹|单号|签收|收货|自提|代收|海外仓|跨境|清关|关税",
    r"订单|下单|订购|购买|买[的了过家单三二两一几断贵赠]|团购|批发|批量|库存|有货|现货|缺货|补货|断货|没货|预售|预购|上新|新款|上架|下架|在售|绝版|限量|有卖|卖[不吗完光得的]|销量",
    r"发票|收据|小票|开票|抬头|报销|合同|签约|保修|质保|保质|联保|三包|维修|返修|修[理好一不得吗换]|售后|保价|价保|差价|赔|补偿|保险|责任|翻新|鉴定|正品|真假|假货|水货|行货|国行"
    r"|贴膜|回收|以旧换新|折旧",
    r"优惠|折扣|打折|[几\d一二三四五六七八九]折|促销|满减|满赠|赠品|[赠送]券|优惠券|代金券|消费券|礼品卡|礼券|购物卡|储值|返现|返利|积分|会员|vip|年卡|月卡|季卡|次卡|双十一"
    r"|双11|618|黑五|秒杀|拼团|砍价|便宜|议价|福利|补贴|补差",
    r"充值|续费|续订|订阅|套餐|试用|试听|试吃|试穿|试驾|体验课|开通|升级|降级|(?:免费|专业|企业|团队|旗舰|标准|基础|高级)版|席位|并发|额度|配额|流量|宕机|在线率|私有化|本地部署"
    r"|对接|导出|备份|迁移",
    r"取消(?!符号)|改签|改期|改时间|延期|转让|过户|预订|预定|预约|订[位座桌房票餐个一]|定[位座桌房]|包间|包厢|包场|卡座|排队|等位|取号|叫号|翻台|最低消费|低消|开瓶费|茶位|餐具"
    r"|堂食|打包|忌口|菜单|招牌|酒水|儿童餐|清真|素食|不要?辣|免辣|过敏",
    r"入住|退房|续住|房[型间态费价卡]|客房|标间|大床|双床|加床|海景|空房|早餐|停车|车位|充电桩|wi-?fi|无线网|宠物|行李|寄存|接机|接站|接送|班车|健身房|泳池|游泳池|洗衣|吸烟"
    r"|禁烟|婴儿[床车椅]|儿童椅|电梯|无障碍|轮椅|发票",
    r"营业|开门|关门|打烊|开[到放]|上班|下班|放假|歇业|休息日|分店|门店|实体店|专柜|连锁|店[里内铺员长家面]|在哪|地址|位置|怎么走|地铁|[到离].{0,6}多远|联系(?!起来"
    r"|方式是什么意思)|客服|人工|投诉|举报|差评|加盟|代理|招商|合作|招人|招聘|应聘|电话|邮箱",
    r"账号|账户|帐号|注册|登[录陆]|注销|密码|验证码|绑定|实名|付款|付钱|支付|付[费现全尾]|到付|微信|支付宝|花呗|白条|分期|刷卡|信用卡|银联|现金|对公|数字人民币|汇款|转账|扣款|扣[钱费分]|代付",
    r"尺码|尺寸|码数|码[吗的数]|大一号|小一号|偏[大小]|加大|加长|均码|[xsl\d]+码|颜色|配色|色差|面料|材质|纯棉|真皮|真丝|掉色|褪色|起球|缩水|变形|机洗|干洗|水洗"
    r"|含[绒棉量不有]|克重|防水|续航|内存|红轴|青轴|保温|功率|几瓦|口味|配料|成分|规格|型号|配件|零件|刻字|定制|定做|包装|礼盒|安装|上门|说明书",
    r"课时|课程|上课|补课|请假|调课|开课|结课|插班|小班|回放|回看|录播|直播课|讲师|老师.{0,4}(?:资质|教|换)|外教|教材|结业|证书|报名|报班|包过|助教|答疑|保过|学员|学时",
    r"\b(?:prices?|pric(?:ing|ey)|costs?|how much|fees?|charge[ds]?|charges|deposits?|surcharge"
    r"|tips? included|refund\w*|money back|return(?:s|ed|able|ing)?|exchange[sd]?"
    r"|ship\w*|deliver\w*|couriers?|parcels?|packages?|tracking|customs|pre-?orders?|back-?orders?|(?:in"
    r"|out of) stock|restock\w*|stock|sold out|available|availability|samples?)\b",
    r"\b(?:invoices?|receipts?|warrant\w+|guarante\w+|repair\w*|replace\w*|spare parts?|compensat\w+"
    r"|discount\w*|coupons?|promo\w*|vouchers?|gift cards?|gift[- ]?wrap\w*|loyalty|membership|rewards?"
    r"|points"
    r"|subscri\w+|(?:free|trial|premium|basic|pro|annual|monthly|yearly|enterprise|team|family"
    r"|business) (?:trial|period|plan|tier|version|account|pass)|upgrade|downgrade|cancel\w*|renew\w*"
    r"|billing|billed|instal?lments?|checkout"
    r"|pay(?:ment|ments|ing|pal)?\b(?! attention)|paypal|visa|mastercard|credit cards?|cash|bitcoin"
    r"|wholesale|bulk|franchise|price match|black friday|for sale|on sale|sale (?:start|end))\b",
    r"\b(?:my|the|an?|this|your|cancel|place|track|change|minimum) orders?\b|\bordered\b|\bbooking\b"
    r"|\bbook (?:a|an|the|my|two|three|for|in advance|online)\b(?! report| review)|\breserv\w+"
    r"|\bappointments?\b|\bcheck[- ]?(?:in|out)\b|\bbreakfast (?:included|served)|\b(?:is|does"
    r"|are).{0,30}\bincluded?\b"
    r"|\bparking\b|\bpark (?:my|the|a)\b|\bwi-?fi\b|\bpets?\b(?! names?)|\bluggage\b|\bsuites?\b"
    r"|\brooms? (?:have|with|come|for|service)|\b(?:single|double|family|private|quiet) rooms?\b|\bshuttle\b"
    r"|\bhigh ?chairs?\b|\bcorkage\b|\btake ?(?:out|away)\b|\bdine\b|\bmenu\b|\bvegan options?|\bgluten"
    r"|\ballerg\w+|\bdress code\b|\bwheelchair\b",
    r"\b(?:open(?:ing)?|business|working) (?:hours|on|until|late|at|today|tomorrow)\b|\bopen\?*$"
    r"|\bclosed?\b(?! to)|\b(?:your|the|any|nearest) (?:store|shop|branch|office|address|location|showroom"
    r"|website|app)\b|\blocated\b|\bcustomer (?:service|support)\b|\bcomplain\w*|\bspeak to (?:a|the"
    r"|someone)|\bphone number\b|\baccounts?\b(?! for)|\bpasswords?\b|\blog ?in\b|\bsign up\b",
    r"\b(?:in|what|which|a|larger|smaller) (?:size|sizes|colou?rs?)\b|\bsiz(?:e|ing) (?:chart|guide|xs|s|m|l"
    r"|xl|\d+)|\b(?:run|fits?) (?:small|large|big|true)|\bmade (?:of|in|from)\b|\bwashable\b|\bgenuine\b"
    r"|\bauthentic\b|\bbattery\b|\bengrav\w+|\bcustomi[sz]\w+|\binstall(?:ation|ed)\b|\bassembl\w+"
    r"|\bpick(?:ed)? ?up\b|\bcompatible\b|\bingredients? (?:in|of) (?:the|your)",
    r"\bcertificates?\b|\btuition\b|\benrol\w*|\b(?:lessons?|courses?|class|classes) (?:start|include"
    r"|recorded|cost|begin|are|is|have)|\brecord(?:ed|ings)\b|\bscholarships?\b|\buptime\b|\bsla\b"
    r"|\bseats?\b|\bstorage limit|\brate limit|\bexport my\b|\bsingle sign|\bsso\b|\bon-prem\w*|\bgdpr\b"
    r"|\bintegrat(?:e|es|ion|ions) with\b|\blate (?:fee|check|delivery)|\bexpir\w+",
)
SHOP_PERSON = _words(
    r"你们?家|[你您]们|贵(?:店|司|公司|酒店|校|餐厅|平台|院)|咱们?(?:家|店|这)|(?:本|这|那)(?:家)?(?:店|酒店|餐厅|平台|机构)|店[家主里]|商家|卖家|老板|掌柜"
    r"|你[这那]儿?(?:有|能|可|卖|收)|(?:有|还)没有(?:人|位|座|房)",
    r"\byou guys\b|\bdo(?:es)? (?:you|your \w+) (?:guys )?(?:have|sell|offer|ship|deliver|accept|take|carry"
    r"|stock|provide|charge|support|open|close|serve|rent|allow|do|make|come|give|keep|use|run|cover|buy"
    r"|hire|match|repair|include)\b",
    r"\b(?:your|the) (?:shop|store|restaurant|hotel|company|team|staff|policy|service|products?|plans?"
    r"|courses?|school|clinic|salon|platform)\b|\bare you (?:open|closed|hiring|located|able)\b"
    r"|\bcan you (?:deliver|ship|send|hold|reserve|repair|fix|install|cancel|refund|change|check|keep|put)\b"
    r"|\bwill you (?:deliver|ship|send|hold|refund|replace)\b",
)
# The forms in which people ask what is allowed, there, included or when; alone they weigh little.
ASKS_FOR_TERMS = _words(
    r"可以.{0,30}[吗嘛么？?]|可不可以|能.{0,30}[吗嘛么？?]|能不能|[有需]没?有?.{0,20}[吗嘛么]|有没有|要不要|需不需要|需要|支持|是否|会不会|包不?包|含不含"
    r"|还(?:能|会|有没有)|什么时候|何时|几点|多久|几天|多长时间|哪天|[这那](?:款|件|双|台|条|套|家|道|门)(?!事)",
    r"^(?:so |and |but |hi |hello |please )*(?:can|may|could|must|should|will|am|do|does|are|is|when"
    r"|what time|how (?:long|soon|early|late|many|often|far in advance))\b.{0,30}\b(?:i|we|my|our|me|there"
    r"|the|it|this|they|these|those|any)\b",
    r"\b(?:is|are) (?:there|it|they|the|any|these|this)\b|\bdo i (?:need|have|get)\b|\bhow (?:long|soon)\b",
)
# Requests to act, which no text can fulfil.
ACT = _words(
    r"(?:帮|给|替|为)我(?:们)?(?:查|退|换|取消|改|下单|催|转|登记|安排|预[约订定]|留|开|续|订|报|联系|办|处理|发|寄|补|加|关|注销|充|看看?(?:物流|快递"
    r"|订单))(?!个?笑话|一段|一首|作文)",
    r"转人工|找(?:个)?(?:真人|人工|客服)|我要(?:退|换|取消|投诉|订|预|改|开|买)|给我(?:退|换|打折|优惠|便宜|补|赔)",
    # "Can I change my address?" asks whether, not for the deed.
    r"(?<!\bi )(?<!\bto )(?<!\bwe )"
    r"\b(?:cancel|refund|change|track|ship|send|book|reserve|hold|transfer|connect|call) (?:me|my|it|this"
    r"|the|a|two|for)\b|\bi(?:'d| would)? (?:want|like|need) (?:to (?:return|cancel|book|order|buy|exchange"
    r"|change|speak|reserve|complain)|a (?:refund|replacement|human))",
)

# ---- everything else -------------------------------------------------------------------------------------------------

KNOWLEDGE = _words(
    r"文件|数据库|报错|什么是|是什么意思|什么意思|是谁|谁(?:发明|写|画|发现|创立|建|是|提出|唱|演)|原理|为什么(?:天|人|会|地|海|月|太|星|猫|狗|我们|要有)|历史|首都|省会|朝代|古代|世界"
    r"|宇宙|地球|太阳|月[亮球]|星球|恐龙|动物|植物|国家|人口|面积|海拔|公式|定理|定律|成语|古诗|诗人|作者|词语|反义词|近义词|英语|汉字|拼音|物理|化学|数学|生物|哲学|节气|春节"
    r"|中秋",
    r"解释|介绍一下|讲讲|科普|谈谈|你觉得|你认为|怎么看待|区别是什么|推荐(?:一下|几|一[本部首个些]|点|个|些).{0,10}(?:书|电影|歌|音乐|剧|小说|景点|城市|运动|菜|游戏|爱好"
    r"|动漫)|(?:书|电影|歌|小说|景点|菜谱)推荐|怎[么样](?:做|读|写|用|删|装|画|记|背|炒|煮|炖|烧|练|学|提高|减|克服|缓解|早睡|入睡|放松|追|养)|如何(?:学|提高|克服"
    r"|缓解|保持|减|培养|练|平衡|制作"
    r"|入门)|好玩|旅[游行]|减肥|健身(?![房卡])|失眠|压力|面试|简历|论文|作文|高考|考研|早睡|学习方法|营养",
    r"心情|难过|开心|无聊|生气|焦虑|孤独|失恋|分手|加油|鼓励|安慰|聊聊|聊天|陪我|晚安|早安|午安|生日快乐|节日快乐|新年好|你(?:真|好)(?:棒|聪明|厉害|可爱)|你(?:会|喜欢|累"
    r"|开心|几岁|多大|有感情|能做|能干|可以做什么|能帮我做什么|吃饭)|哈哈|嘻嘻|呵呵",
    r"\bwhat(?:'s| is| are| was| were) (?:the (?:capital|meaning|difference|largest|biggest|highest|tallest"
    r"|longest|smallest|fastest|best way|population|speed|history|formula|boiling|chemical|purpose of life"
    r"|weather like)|an? [\w ]{1,30}\?*$|\w+\?*$)|\bwhat does .{1,40} mean\b|\bdefin(?:e|ition)\b|\bwho (?:was|wrote"
    r"|invented|discovered|painted|is|founded|directed|sang|built|composed)\b",
    r"\bexplain\b|\bdescribe\b|\bwhy (?:is the|do (?:we|people|cats|dogs|birds|leaves)|are|does the)\b"
    r"|\bhow (?:do(?:es)?|can|should|to) (?:i |we |you |one |a |an |the )?(?:learn|cook|make|boil|bake|lose"
    r"|improve|sleep|stay|deal|become|grow|tie|draw|train|prepare|work out|relax|focus|stop|study|write"
    r"|center|use|read|save|build|clean)\b|\btips\b|\badvice\b|\brecommend (?:a|an|me|some) (?:\w+ )?(?:book"
    r"|movie|film|song|novel|show|game|podcast|hobby)\w*",
    r"\b(?:in the world|earth|moon|planet|universe|history|century|war|science|physics|chemistry|math"
    r"|biology|dinosaurs?|ocean|country|continent|president|king|queen|shakespeare|hamlet|photosynthesis"
    r"|gravity)\b",
    r"\bi(?:'m| am| feel) (?:so |very |really |a bit |feeling )?(?:sad|bored|tired|happy|lonely|stressed"
    r"|anxious|angry|nervous|sick|down|excited)\b|\b(?:good night|good luck|wish me|cheer me|let'?s (?:chat"
    r"|play|talk)|how are you|your favou?rite|do you (?:like|love|think|feel|dream|believe|know|speak"
    r"|understand|sleep)|are you (?:happy|alive|smart|sad|tired|conscious)|what can you do|you(?:'re"
    r"| are) (?:great|smart|funny|cute|nice|awesome)|what do you think|what should i (?:cook|eat|have|do"
    r"|wear|read|watch|learn|say))\b",
)

# A message that says something only together with the one before it.
FOLLOWS_ON = _words(
    r"^请?(?:继续|接着)|^(?:please )?(?:continue|go on|carry on|keep going)",
    r"^(?:那|那么|还有|以及|另外|如果是?|要是|换成|和|再|那要是|那如果)?.{1,14}呢$|^(?:那|那么|那要是|那如果)|^(?:为什么|为啥|凭什么|怎么会|真的|确定|当真|是吗"
    r"|对吗|然后|具体|详细|多久|多少|几天|什么时候|在哪|怎么)(?:吗|呢|点|说说|一点|这样|不行|不能)?$",
    r"^(?:and|what about|how about|what if|or|then|but|really|are you sure|why|why not|since when"
    r"|for how long|how long|how much|when|where)\b.{0,40}$",
)
ASKS = re.compile(
    r"[?？]$|[吗呢]$|(?<!什)么$|多[少长久大高重远]|几|什么价|哪|([\u4e00-\u9fff])不\1"
    r"|(?:^|[,.] ?)(?:is|are|do|does|can|could|will|may|how|which|when|where)\b"
)
YOUR_FACTS = re.compile(
    r"退[货款换].{0,6}(?:时限|期限|天数|规定|政策|条件|手续费)|(?:运费|邮费|保修|会员|积分|折扣).{0,4}(?:表|规定|政策|时限|期限|标准|等级)"
    r"|(?:[你您]们|[你您]们?家|贵[店司公]|本店|店里|店铺).{0,3}(?:的|店)"
    r"|\b(?:your|the shop's) (?!own\b)(?:\w+ )?(?:polic|price"
    r"|fee|refund|return|shipping|deliver|warrant|discount|opening|address|menu|plan|rate|hour)"
)
FOR_ONESELF = re.compile(
    r"给(?:你们|贵|客服|店家|商家)|评价|好评|感谢信|投诉信|我(?:自己)?(?:的|开|们|家)"
    r"|\b(?:my own|for my|our own|review|e-?mail|letter|to you)\b"
)

# ---- requests for a text that ask for the shop's facts in it ---------------------------------------------------------

# Names this very shop where SHOP_PERSON does not; a visitor's own shop is named so too.
THIS_SHOP = _words(r"我们?店|[本小]店|这里(?:的|能|可)", r"\b(?:our|this) (?:shop|store)\b|\bthe shop\b|\bhere\b")
# A text that somebody of the shop is to have written.
SHOP_VOICE = _words(
    r"(?:店长|店主|老板|客服|店员|商家|卖家|掌柜|经理|工作人员)的?(?:名义|身份|口吻|语气|角度|立场)"
    r"|(?:扮演|假装|假扮|作为|代表|替|代|以)(?:你们?|这家)?(?:店长|店主|老板|客服|店员|商家|卖家|掌柜|店里|店家|本店)",
    r"\b(?:as|like|being) (?:the|your|an?|this) (?:shop|store)?(?: |'s )?(?:owner|manager|clerk|seller|staff|boss)\b"
    r"|\b(?:in the name|on behalf) of (?:the|your|this) (?:shop|store|owner|manager|company)\b",
)
# Text behind a colon that is to be translated or reworded: its words are nobody's question.
GIVEN_TEXT = re.compile(
    r"((?:翻译|译成|润色|改写|扩写|缩写|校对|总结|概括|改得|纠正"
    r"|translat|rephras|rewrit|proofread|summari|paraphras|correct)[^:]{0,40}:).*",
    re.DOTALL,
)
SENTENCE = re.compile(r"[^。！？!?;；\n]+[。！？!?;；\n]*")
# A promise that the shop is said to have given: only the shop can say so.
SAID_TO_BE_PROMISED = _words(
    r"(?:你们?|您们?|店里|店家|商家|客服|老板)(?:上次|之前|刚才|刚刚|已经|都|就|是|不是)*(?:答应|承诺|保证|许诺|同意|说好|说过|说了?要?)(?:了|过|要|会|给|替|帮|我|的|好)*.{0,4}"
    r"(?:赔|退|送|免|补|打折|优惠|[\d一二三四五六七八九]折|便宜|\d+元)",
    r"\b(?:you|they|the shop|the store|support|your \w+) (?:guys |already |have |had |'ve )*"
    r"(?:promised|agreed|guaranteed|offered|said you(?:'d| would)|told me (?:that )?you(?:'d| would))\b.{0,40}?"
    r"(?:refund|compensat|replace|free|discount|pay|\d)",
)
# A short message that wants a figure for what was asked before.
GUESSES = _words(
    r"猜|估[计算摸个一]|大概|大约|差不多|随便(?:说|给|编|报|讲)(?:一?个|下|多少|$)|[编给报说]一?个?(?:数|价|时间|范围)|不用负责|就说",
    r"\b(?:guess|estimate|roughly|approximately|approx|ballpark|make (?:it|one|something) up"
    r"|just (?:say|give|tell|a number)|a (?:number|figure|range)|more or less)\b",
)
