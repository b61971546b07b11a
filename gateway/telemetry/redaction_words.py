"""Words that presets of subjects stand for: protected characteristics, and what is dangerous.

They find words, not meanings: English ones, in any case, of the subject's own vocabulary. Words that mostly
say something else (old, kill, white, shot) are there only in phrases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Final

WORDS: Final[Mapping[str, str]] = {
    "gender_sexual_orientation": (
        "agender, asexual, bisexual*, cisgender*, female, gay, gender, gender identity, genderfluid, "
        "genderqueer, heterosexual*, homosexual*, intersex, lesbian*, lgbt*, male, non binary, nonbinary, "
        "pansexual*, pronouns, queer, sexual orientation, transgender*, transman, transsexual*, "
        "transwoman"
    ),
    "race_ethnicity_national_origin": (
        "aboriginal*, african american*, ancestry, arab, arabic, asian*, biracial, black people, "
        "black person, caucasian*, country of birth, ethnic*, first nations, foreign born, hispanic*, "
        "immigra*, indigenous, latina*, latino*, latinx, mixed race, multiracial, national origin, "
        "nationality, native american*, pacific islander*, race, racial*, refugee*, roma people, "
        "skin color, skin colour, white people, white person"
    ),
    "religion": (
        "agnostic*, atheis*, baptist*, bible, buddhis*, catholic*, christian*, church*, evangelical*, "
        "faith, hindu*, imam, islam*, jehovah's witness*, jew, jewish, jews, judaism, koran, lutheran*, "
        "methodist*, mormon*, mosque*, muslim*, orthodox christian*, pentecostal*, protestant*, quran, "
        "rabbi*, religio*, scientolog*, shia, sikh*, sunni, synagogue*, torah, worship*"
    ),
    "age_discrimination": (
        "age discrimination, age group, aged, ageing, ageis*, boomer*, date of birth, digital native*, "
        "elderly, geriatric*, middle aged, millennial*, old age, older worker*, over the hill, overage, "
        "pension age, recent graduate*, retiree*, retirement age, senior citizen*, too old, too young, "
        "underage, year old, years of age, years old, young people, younger worker*, youthful"
    ),
    "disability": (
        "adhd, amputee*, autis*, bipolar, blindness, cerebral palsy, chronic illness, "
        "cognitive impairment*, deaf*, dementia, depressive disorder, disab*, down syndrome, dyslexi*, "
        "epilep*, handicap*, hard of hearing, hearing impair*, learning difficult*, legally blind, "
        "mental illness*, mentally ill, mobility impair*, multiple sclerosis, neurodiver*, paralys*, "
        "paraplegi*, quadriplegi*, schizophreni*, special needs, visually impair*, wheelchair*"
    ),
    "marital_family_status": (
        "breastfeed*, child care, childcare, childless, children, civil partner*, civil union, cohabit*, "
        "custody of, dependents, divorc*, domestic partner*, engaged to be married, family status, "
        "fiance, fiancee, foster parent*, husband*, in wedlock, marital status, married, maternity, "
        "number of children, parental leave, paternity, pregnan*, separated from, single father*, "
        "single mother*, single parent*, spous*, unmarried, widow*, wife, wives"
    ),
    "military_status": (
        "active duty, air force, armed forces, army, deployed overseas, deployment orders, "
        "discharged from service, dishonorable discharge, enlisted, gi bill, honorable discharge, "
        "marine corps, marines, military, national guard, navy, reservist*, service member*, "
        "servicemember*, soldier*, userra, veteran*, veterans affairs, war zone"
    ),
    "public_assistance": (
        "child tax credit, disability benefit*, ebt card, food bank*, food stamp*, government assistance, "
        "housing assistance, housing benefit*, housing voucher*, income support, medicaid, "
        "public assistance, public benefit*, public housing, section 8, snap benefits, social assistance, "
        "social security benefit*, ssdi, ssi, subsidized housing, supplemental security income, tanf, "
        "unemployment benefit*, universal credit, welfare, wic program"
    ),
    "weapons_firearms": (
        "ak 47, ak47, ammo, ammunition, ar 15, ar15, assault rifle*, bullet*, bump stock*, carbine*, "
        "concealed carry, firearm*, ghost gun*, glock*, gun, gunpowder, guns, gunshot*, handgun*, "
        "hollow point*, machine gun*, magazine clip*, muzzle*, pistol*, revolver*, rifle*, sawed off, "
        "semi automatic*, shotgun*, silencer*, sniper*, submachine gun*, suppressor*, uzi"
    ),
    "weapons_other": (
        "axe, bayonet*, biological weapon*, blowgun*, brass knuckles, chemical weapon*, crossbow*, "
        "dagger*, flail, garrote*, knife, knives, knuckle duster*, mace spray, machete*, mustard gas, "
        "nerve agent*, nerve gas, nunchaku*, nunchuck*, pepper spray, ricin, sarin, shank, slingshot*, "
        "stiletto, stun gun*, switchblade*, sword*, taser*, throwing star*, truncheon*, vx gas, weapon*"
    ),
    "explosives": (
        "ammonium nitrate, anfo, blasting cap*, bomb, bombed, bomber*, bombing*, bombs, c 4, c4, "
        "claymore*, detonat*, dynamite*, explosive*, fertilizer bomb*, flash powder, fuse wire, grenade*, "
        "ied, improvised explosive*, incendiar*, land mine*, landmine*, molotov*, napalm, nitroglycerin*, "
        "petn, pipe bomb*, plastic explosive*, pressure cooker bomb*, rdx, semtex, shrapnel, tatp, "
        "thermite, tnt"
    ),
    "violence_threats": (
        "assassinat*, assaulted, beat her up, beat him up, beat them up, beat you up, behead*, "
        "bloodbath*, burn down, cut your throat, death threat*, execute her, execute him, execute them, "
        "going to hurt you, going to kill, gonna kill, hunt you down, hurt you, i will find you, kidnap*, "
        "kill her, kill him, kill them, kill you, lynch*, maim*, mass shooting*, massacre*, murder*, "
        "rape*, rapist*, shoot her, shoot him, shoot them, shoot up, shoot you, slaughter*, "
        "slit your throat, stab*, strangl*, tortur*, want you dead, you are dead, you will die"
    ),
    "terrorism": (
        "al qaeda, al shabaab, beheading video, boko haram, caliphate, car bomb*, dirty bomb*, extremis*, "
        "hamas, hezbollah, hijack*, holy war, hostage*, isil, isis, islamic state, jihad*, "
        "lone wolf attack*, martyrdom operation*, mujahid*, radicalis*, radicaliz*, suicide attack*, "
        "suicide bomb*, suicide vest*, taliban, terror attack*, terror cell*, terroris*"
    ),
    "self_harm_suicide": (
        "anorexi*, better off dead, bulimi*, cut myself, cutting myself, don't want to live, end it all, "
        "end my life, hang myself, hanging myself, harm myself, hurt myself, jump off a bridge, "
        "kill myself, killing myself, kms, no reason to live, overdos*, self harm*, self injur*, "
        "self mutilat*, selfharm*, shoot myself, slit my wrist*, starve myself, suicid*, "
        "take my own life, want to die, wish i was dead, wish i were dead"
    ),
    "illegal_activities": (
        "bribe*, burglar*, child labor, cocaine, counterfeit*, credit card fraud, crystal meth, "
        "dark web market*, drug deal*, drug traffick*, embezzl*, extort*, fake id, fake ids, fentanyl, "
        "fraudulent*, heroin, human traffick*, identity theft, illegal*, illicit*, insider trading, "
        "launder money, lsd, malware, mdma, meth lab*, methamphetamine*, money launder*, narcotic*, "
        "phishing, pirated, ponzi*, ransomware, robber*, shoplift*, smuggl*, stolen, tax evasion, "
        "traffick*"
    ),
    "harassment_hate": (
        "anti semit*, antisemit*, apartheid, bigot*, blackmail*, bullied, bullies, bully, bullying, "
        "catcall*, cyberbull*, dehumani*, discriminat*, doxing, doxx*, ethnic cleansing, genocid*, "
        "go back to your country, harass*, hate crime*, hate group*, hate speech, hateful*, homophob*, "
        "humiliat*, inferior race, intimidat*, islamophob*, master race, misogyn*, nazi*, neo nazi*, "
        "racis*, sexis*, slur*, stalk*, subhuman*, supremacis*, transphob*, white power, white supremac*, "
        "xenophob*, you are worthless"
    ),
}
"""Each subject's words and phrases. A star stands for what letters follow, a blank for blanks or a hyphen."""

_STEM_LETTERS: Final = 12


def word_pattern(words: str) -> str:
    """A regular expression for any of *words*, as whole words.

    They are grouped by their first letter, which is where nearly every other word is told from all of them.
    """
    phrases = sorted(phrase.strip() for phrase in words.split(","))
    groups = [
        f"{letter}(?:{_any_of(phrase[1:] for phrase in group)})"
        for letter, group in groupby(phrases, key=lambda phrase: phrase[0])
    ]
    return rf"(?<![^\W_])(?i:{'|'.join(groups)})(?![^\W_])"


def _any_of(rests: Iterable[str]) -> str:
    # The longest first: a group ends with the first that fits, and a phrase may begin another.
    return "|".join(
        rest.replace(" ", "[ \\t\\n-]{1,2}")
        .replace("'", "['\N{RIGHT SINGLE QUOTATION MARK}]?")
        .replace("*", rf"[^\W\d_]{{0,{_STEM_LETTERS}}}")
        for rest in sorted(rests, key=len, reverse=True)
    )
