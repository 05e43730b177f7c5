"""Everyday English words: what a disguised word is taken for if a spelling of it is among them."""

_WORDS = """
    able about above accept access accident accord account accuse across act action actual add address adult
    affair affect afford afraid after again against age agency ago agree ain air alien all allow almost alone
    along already also although always amazing america american among amount and anger angry animal announce
    annoy another answer any anymore anyone anything anyway apart app appear apple apply appoint approach
    april arab are area aren argue argument arm army around arrest arrive arrow art article ashamed asian
    aside ask ass assault asshole assume asylum attack attempt attend attention attitude august aunt author
    average awake away awful babe baby back bad bag ball ban band bank bar base basic basketball bass bastard
    bath battle beach bear beat beautiful became because become bed bee been beer before beg beggar begin
    beginning behind being believe bell belong below best bet better between beyond bible big bike bill bird
    birth birthday bit bitch bite bitter black blame bless blind block blood bloom blossom blue board boat
    bobby body bomb bone boo book boom boost boot border born boss both bottle bottom bought bow box boy
    boyfriend boys brain brave bread break breakfast breast breath breed brick brilliant bring britain
    british bro broke broken brother brought brown bubble buddy budget buff build building bull bullet bully
    bunch bunny burn bus business busy but butt butter button buy cabbage cake call came camera camp campaign
    can cancel cancer candidate cannot car card care career carry case cash cat catch catholic caught cause
    cell center central century certain chair chance change channel character charge chat cheap cheat check
    cheek cheer cheese cherry chicken chief child children chill china choice choose christian christmas
    church citizen city class clean clear clever cliff climate clinton clock close clothes cloud club coach
    coast coat code coffee cold collect college color come comedy comfort comma command comment commit
    committee common communist community company compare complain complete computer concern congress connect
    consider control conversation cook cool cop correct corrupt cost cotton could couldn country couple
    course court cousin cover cow coward crap crash crazy create creep crime criminal cross crowd cry cuff
    culture cunning cunt cup current curry curse customer cut cute dad daddy dagger damage damn dance danger
    dangerous dark data date daughter day dead deal dear death decide decision deep deer defend degree demand
    democrat deny department deport depress describe deserve design desk despise destroy develop devil
    diamond dick did didn die differ different difficult dig dinner direct director dirt dirty disappear
    disappoint discuss disease disgrace disgust disgusting disrespect dizzy doctor does doesn dog doll dollar
    don donald done door doubt down drag dream dress drill drink drive drop drove drug drunk dry duck dude
    dull dumb dummy dust duty each ear early earth east easter easy eat eaten economy edge education eel
    effect effort egg eight either election else email employee empty end enemy energy england english enjoy
    enough enter entire entitled error especially etc europe european even evening event eventually ever
    every everybody everyone everything evidence evil exact example exceed except excite excuse exist expect
    expensive experience explain express extra extreme eye face fact failure fair faith fake fall false
    family famous fan far fascist fashion fast fat father fault favorite fear fee feel feet fell fellow
    female feminist ferry fever few field fight fill film final finally find fine finger finish fire first
    fish fit five fix flag fleet flight flood floor flow flower fluff fly folk follow food fool foot football
    for force foreign forever forget forgive forgot form former forward fought found four fox freak free
    freedom fresh friday friend from fruit fuck fuel full fun funny furry fuss future gain gall game gang
    garbage garden gas gate gave gay gender general gentle german germany get ghetto ghost gift gimme girl
    girlfriend girls give given glad glass goal god goddess goes going gold golf gone gonna good goofy goose
    got gotta government grade grammar grandma grass grave great green greet grew grey grill gross ground
    group grow guard guess guest guilt guilty gun guy habit had hair half hall hammer hand handle hang happen
    happy hard has hasn hat hate haters hatred have haven head health hear heard heart heat heaven heavy heel
    held hell hello help her here hero herself hide high hijab hill him himself hire his hiss history hit
    hobby hoe hold hole holiday holly holy home honest honey honor hood hook hoop hope horrible horror horse
    hospital hot hotel hour house how however huge human hundred hung hungry hunt hurry hurt husband ice idea
    idiot ignorant ignore ill illegal imagine immediate immigrant immigration important impossible inch
    include income increase indeed india indian inner innocent insane inside instead interest international
    internet interview invade invader invasion invest involve iran iraq islam islamic island isn israel issue
    italy its itself jail january jazz jealous jeep jesus jew jewish jihad job join joke journey joy judge
    july jump june just justice keen keep kept key kick kid kill kind king kingdom kiss kitchen knee knew
    knife knock know lady lake land language laptop large last late laugh law lawyer lay lazy lead leader
    leaf learn least leave led left legal lesbian less lesson let letter liar liberal library lie life lift
    light like line lip liquor list listen literally little live living lmao loan local lock lol london
    lonely long look loop loose lord lose loser loss lost lot lottery loud love low luck lucky luggage lunch
    machine mad made magic mail main make male mall man manage manner many march mark market marriage married
    marry mass master match mate matter may maybe meal mean meaning meant measure meat media medical meet
    member memory men mental mention merely mess message met metal mexican mexico middle might migrant
    migration mile military milk mill millennial million mind mine minister minute mirror misogynist miss
    mistake mix mixed mob model modern mom moment mommy monday money monkey monster month mood moon moral
    more morning moron mosque moss most mother motherfucker mountain mouse mouth move movement movie much mum
    murder murderer museum music muslim must mutual myself nail naked name nanny narrow nasty nation national
    nature nazi near necessary neck need needle neither nerve network never new newspaper next nice night
    nine nobody none nook noon nor normal north nose not note nothing notice now null number obama obvious
    occur ocean odd off offend offer office officer official often oil okay old omg once one only oops open
    opinion opposite order original other our ourselves out outside over own page paid pain pair pakistan
    panic paper parasite parent paris park part party pass passion past pathetic patient patriot pay peace
    pee peek peel peep penny people pepper perfect perhaps period permit person personal pervert pet phone
    photo physical piano pick picture pie piece pig pill pink piss pizza place plan plane planet plant
    plastic play player please pleasure plenty poem poet point poison police policy polite political
    politician politics poll pool poop poor pop popular population porn position poss possible post potato
    pound power pray prayer prefer pregnant prepare present president press pressure pretty prevent previous
    price pride prince prison private privilege prize probably problem process produce product professor
    program progress project promise proof proper property prostitute protect protest proud prove provide
    public puff pull punch punish puppy pure purple purpose push pussy put puzzle quarrel queen queer
    question quick quiet quit quite rabbit race racist radio rain rally ran rape rapist rat rate rather reach
    react read ready real really reason receive recent record red reef refugee refuse regret relationship
    relax release religion religious remain remember remind remove rent repeat reply report republican
    request rescue research respect response responsible rest result return revenge review ribbon rich riddle
    ride ridiculous right ring rise risk river road rob rock rode role roll roof room roommate root rope rose
    rough round row royal rubber rubbish rude ruin rule run rush russia russian sad safe said sale salt same
    sat satan saturday savage save saw say scare scared scene school science scientist scooter score scream
    screen scum sea search season seat second secret section secure security see seed seek seem seen self
    sell senate senator send sense sent serious serve service session set settle seven sex sexist sexual sexy
    shall shallow shame shape share sharia sharp she sheep sheer shell shine ship shirt shit shitty shock
    shoe shoot shop short shot should shoulder shouldn shout shove show shower shut sick side sign silence
    silent silly simple sin since sing single sink sissy sister sit six size skill skin skull sky slave
    slavery sleep slow slut small smart smell smile smoke smooth sniff snow soccer social society soft sold
    soldier solid solution some somebody somehow someone something sometimes somewhere son song soon sorry
    soul sound soup source south space speak special speech speed spell spend spent spill spirit spoof spoon
    sport spot spread spring square staff stage stain stall stand standard star start state stay steal steel
    steep step stick still stink stone stood stool stoop stop store storm story straight strange stranger
    stream street strength stress strike strong stuck student study stuff stupid style subject succeed
    success such sudden suffer sugar suggest suit summer sun sunday sunny supper supply support suppose
    supreme sure surprise survive suspect swear sweep sweet swell swim sword swore syria system table tail
    take talent talk tall taste taught tax tea teach teacher team tear teen teeth television tell temple ten
    tennis terrible terrify terror terrorist test text than thank that the theater their them themselves then
    theory there therefore these they thick thin thing think third this those though thought thousand three
    thrill throat through throw thrown thug thursday ticket tie tight till time tiny tip tire tired toast
    today together told toll tomorrow tongue tonight too took tool tooth top tory toss total touch tough tour
    toward town toxic trade tradition traffic train traitor trans transgender transport trash travel treat
    tree trial tribe trick trigger trillion trip troop trouble truck true trump trust truth try tuesday tummy
    turn twelve twice twitter two ugly unable uncle under understand union unite university unless until upon
    upper upset usa use useless user usual usually vacation valley value vermin version very victim victory
    video view vile village violence violent virgin visa visit voice vote vulgar wait wake walk wall wanna
    want war warm was wash wasn waste watch water wave way weak weapon wear weather website wednesday week
    weekend weep weight weird welcome welfare well went were weren west what whatever wheel when where
    whether which while whine white who whole whore whose why wide wife wild will willing win wind window
    wing winner winter wipe wise wish with withdraw within without witness woman women won wonder woo wood
    wool word wore work worker world worn worry worse worst worth worthless would wouldn wound wow wreck
    write wrong wrote yall yard yeah year yell yellow yep yes yesterday yet you young your yourself
    yourselves youth zero zionist zone zoo zoom
"""
EVERYDAY = frozenset(_WORDS.split())
_ENDINGS = ("s", "es", "ed", "d", "er", "ers", "r", "ing", "in", "ly", "y")


def is_everyday(word: str, known: frozenset[str] = EVERYDAY) -> bool:
    """Whether a word in small letters, or its stem, is known: `refugees`, `making`, `running`, `ladies`."""
    return word in known or any(
        stem in known
        for ending in _ENDINGS
        if word.endswith(ending)
        for stem in _stems(word.removesuffix(ending), ending)
    )


def _stems(rest: str, ending: str) -> list[str]:
    """What a word may have been before its ending: the rest, or with an e, a y for i, one letter of two."""
    if len(rest) < 3 or (ending in ("d", "r") and not rest.endswith("e")):
        return []
    stems = [rest] if ending == "s" else [rest, rest + "e"]
    if rest.endswith("i"):
        stems.append(rest[:-1] + "y")
    if rest[-1] == rest[-2] and ending != "s":
        stems.append(rest[:-1])
    return stems
