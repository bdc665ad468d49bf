"""The words of the sample tweets: sentiment lexicon, sentence templates, and what fills their slots."""


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in text.split("|"))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


LEXICON: dict[str, dict[str, tuple[str, ...]]] = {
    "positive": {
        "adjective": _words(
            """happy lovely beautiful amazing gorgeous brilliant fantastic delightful sweet sunny cheerful
            dreamy perfect stunning adorable glorious magical fabulous superb charming heavenly joyful
            splendid radiant cosy excellent inspiring precious blissful peaceful"""
        ),
        "verb": _words("love adore enjoy cherish celebrate treasure appreciate recommend admire savour"),
        "shout": _phrases(
            """yay | woohoo | so much fun | best day ever | made my day | can't stop smiling | what a treat |
            dream come true | feeling lucky | hooray | loving it | pure joy | so excited | big hugs |
            we won"""
        ),
        "hashtag": _words("#blessed #happiness #love #smile #goodvibes #winning #yay"),
        "emoji": _words("😊 😍 ❤️ 🎉 😁 🥰 👍 ☀️"),
    },
    "negative": {
        "adjective": _words(
            """sad awful horrible ugly miserable terrible dreadful gloomy bitter lonely broken nasty tragic
            grim hideous depressing painful ghastly ruined rotten disgusting hopeless heartbreaking cruel
            bleak vile dismal shoddy scary wretched"""
        ),
        "verb": _words("hate despise regret dread mourn detest resent loathe fear curse"),
        "shout": _phrases(
            """ugh | so annoying | worst day ever | ruined my day | can't stop crying | what a nightmare |
            rest in peace | feeling sick | so unfair | sick of it | pure misery | so upset | total disaster |
            we lost | gutted"""
        ),
        "hashtag": _words("#sad #heartbreak #fail #rip #depression #angry #nope"),
        "emoji": _words("😢 😭 😡 💔 😞 🤮 👎 😱"),
    },
}
OPPOSITE = {"positive": "negative", "negative": "positive"}
FEELING = (
    "this {adjective} {subject}",
    "{shout}, {subject} looks {adjective}",
    "i {verb} this {subject}",
    "{shout}! the {subject} in {place}",
    "such a {adjective} {subject} today",
    "everything {adjective} with the {subject}",
    "we {verb} the {subject} {moment}",
    "{subject}, {shout}",
    "{adjective} {subject} at {event}",
    "{moment} and i still {verb} the {subject}",
)
MARKERS = _phrases(
    """just great | oh wonderful | well this is perfect | thanks a lot | exactly what i needed |
    living my best life | couldn't make it up | so that happened | of course | typical monday | this is fine |
    what a time to be alive | no words | guess how it went | totally normal | lucky me | best timing ever |
    sure why not"""
)
AMBIGUOUS = (
    "{marker}, {subject} {moment}",
    "{subject} in {place}. {marker}",
    "{marker}... {subject} again",
    "{moment}, {subject}, {marker}",
    "another {subject} at {event}, {marker}",
    "{marker} #{subject} {marker}",
)
NEWS = (
    "{product} opens in {place} {moment}",
    "{number} people at {event} in {place}",
    "{subject} photo from {place}, {moment}",
    "{place} council votes on {product} {moment}",
    "{event} starts {moment} with {number} guests",
    "{number} new {product} listed, {subject} edition",
    "now online: {subject} seen from {place}",
    "the {subject} of {place}, photo {number}",
    "{event} schedule for {place} updated",
    "{product} review: {subject} mode tested",
)
TITLE = "film '{adjective} {product}' shown at {event}"
TAILS = (
    "on the way to {place}", "after {event}", "with @{user}", "via @{user}", "before the {product} talk",
    "near {place}", "take {number}", "shared from my phone", "waiting for {event}", "cc @{user}",
)  # fmt: skip
CONTRAST = ("after a {adjective} week", "and nothing {adjective} about it", "not {adjective} at all")
AMBIGUOUS_EMOJI = ("🙃", "😂", "😅", "👀", "🙄", "🤷")
NEUTRAL_EMOJI = ("📷", "📍", "👀", "🗞", "📅")
SUBJECTS = {
    "selfie": ("selfie", "face", "mirrorpic", "portrait", "profilepic"),
    "friends": ("squad", "friends", "besties", "roommates", "reunion"),
    "dog": ("dog", "puppy", "doggo", "pup", "labrador"),
    "cat": ("cat", "kitten", "kitty", "housecat", "tabby"),
    "city": ("skyline", "city", "downtown", "rooftops", "towers"),
    "mountains": ("mountains", "hike", "summit", "peak", "trail"),
    "sea": ("sea", "ocean", "sailing", "boat", "coast"),
    "sunflower": ("sunflower", "flowerpot", "windowsill", "houseplant", "bloom"),
    "tulips": ("tulips", "flowers", "bouquet", "garden", "florist"),
    "gig": ("gig", "concert", "stage", "festival", "crowd"),
    "painting": ("painting", "artwork", "canvas", "abstract", "gallery"),
}
SLOTS = {
    "place": _words("Leeds Austin Toronto Lagos Dublin Mumbai Oslo Perth Chicago Nairobi Lima Glasgow"),
    "event": _phrases(
        """the expo | game night | the marathon | Comic Con | the derby | graduation | market day |
        the regatta | open mic | the parade"""
    ),
    "product": _words("phone camera laptop bicycle jacket app coffee headset museum tram library sneaker"),
    "moment": _phrases(
        """this morning | tonight | on Friday | last week | at noon | on Sunday | at dawn | all weekend |
        yesterday | after work"""
    ),
}
NAMES = _words("kim joao mira theo ana dev lulu max zoe sam")
FOREIGN = _words("上海 北京 東京 大阪 成都 Málaga Zürich déjà Malmö")
