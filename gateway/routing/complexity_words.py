"""Words that say how hard a question is, in the languages that most questions are asked in. Data.

A stem is how a word begins, in lower case: `analy` stands for analyse, analysis and analytisch. A phrase is
found anywhere in the text; so are the words of scripts that put no blanks between them, or marks into them.
What is here asks for thought in nearly every text that has it: `why` does, `plan` (of a house) does not.
"""

# ruff: noqa: RUF001 - words of other alphabets

from __future__ import annotations

from typing import Final, Literal

Kind = Literal["reasoning", "thought", "code", "maths"]
"""What a word asks for."""

KINDS: Final[tuple[Kind, ...]] = ("reasoning", "thought", "code", "maths")

_STEMS: Final[dict[Kind, str]] = {
    "reasoning": """
        derivation derivi optimiz optimise optimising optimisation refactor debug diagnos critiqu synthesi
        formaliz formalis counterexample rigor rigour tradeoff
        beweis herleit optimier refaktor widerleg abwäg
        démontr prouv dédui optimiser
        demuestr demostr deduc depura
        demonstre demonstrar deduz otimiz
        dimostr ottimizz
        bewijs afleid optimalis
        udowodn dowód wyprowad zoptymaliz
        докаж доказ выведи оптимиз пошагов обоснуй обоснов отлад
        kanıtla ispatla türet
    """,
    "thought": """
        analy compare compari evaluat design architect strateg explain assess justif recommend estimat
        investigat implement simulat forecast interpret implication consequenc
        vergleich bewert entwurf entwerf entwirf entwick warum erklär begründ
        évalu pourquoi expliqu conçoi concev stratég
        analiz compara evalú explica explíca diseñ estrateg
        avali projete
        confront perché spiega progett
        vergelijk beoordeel waarom ontwerp
        przeanaliz porówn oceń dlaczego wyjaśn zaprojekt
        проанализ сравн оцени почему объясн спроект разработ
        karşılaştır değerlendir neden açıkla tasarla
    """,
    "code": """
        python javascript typescript golang kotlin kubernetes docker terraform
        algorithm algoritm алгоритм compiler traceback stacktrace segfault deadlock mutex async
        database postgres mysql mongodb microservice distributed concurren parallelis
        backend frontend django linux codebase
        datenbank programmier verteilt
        распредел програм функци
    """,
    "maths": """
        theorem théorème teorem теорем integral intégral интеграл derivative ableitung derivad
        equation gleichung équation ecuaci equaç equazion równani уравнен matrix matrice matriz
        macierz матриц eigen probabil wahrscheinlich вероятн polynom многочлен irrational irracional
        lemma logarithm topolog combinator calculus bayes markov asymptot recurrence convex gradient
        hessian
    """,
}

_WORDS: Final[dict[Kind, str]] = {
    "reasoning": "prove proves proving proof proofs derive derives",
    "thought": "why",
    "code": "java rust api apis sql bash git regex redis kafka react coding код кода",
    "maths": "sqrt modulo",
}
"""Those that begin other words as well, such as `Provence` and `rediscover`."""

_PHRASES: Final[dict[Kind, str]] = {
    "reasoning": """
        step by step, step-by-step, trade-off, trade off, root cause, first principles, race condition
        edge case, pros and cons, in depth, in-depth, worst case
        schritt für schritt, vor- und nachteile, étape par étape, avantages et inconvénients
        paso a paso, ventajas y desventajas, passo a passo, vantagens e desvantagens
        passo dopo passo, vantaggi e svantaggi, stap voor stap, voor- en nadelen
        krok po kroku, wady i zalety, шаг за шагом, преимущества и недостатки, adım adım
        证明, 證明, 推导, 推導, 优化, 優化, 逐步, 一步一步, 一步步, 权衡, 重构, 调试, 论证
        証明, 導出, 最適化, 段階的に, ステップ, トレードオフ, リファクタ, デバッグ
        증명, 도출, 유도하, 최적화, 단계별, 리팩터, 리팩토, 디버그, 장단점
        أثبت, برهن, اشتق, خطوة بخطوة
        सिद्ध, चरण दर चरण, अनुकूलित
    """,
    "thought": """
        por qué, por que, leg uit
        分析, 比较, 比較, 评估, 评价, 評価, 为什么, 為什麼, なぜ, 解释, 解釋, 説明, 设计, 設計
        설명, 분석, 비교, 왜, 평가, 설계
        حلل, قارن, لماذا, اشرح, صمم
        विश्लेषण, तुलना, क्यों, समझा
    """,
    "code": """
        c++, c#, unit test, stack trace, pull request, rate limiter, load balancer
        function that, this function, source code, this code, my code, write a script
        算法, 演算法, 代码, 程式, 函数, 数据库, 分布式, アルゴリズム, コード, 関数, データベース, 分散
        알고리즘, 코드, 함수, 데이터베이스, 분산
        خوارزمية, برمج
        एल्गोरिदम, कोड
    """,
    "maths": """
        square root, by induction, prime number, standard deviation
        定理, 积分, 積分, 方程, 矩阵, 行列, 概率, 確率, 微分, 导数, 無理数, 无理数
        정리, 적분, 방정식, 행렬, 확률, 미분, 무리수
        نظرية, تكامل, معادلة, مصفوفة, احتمال
        प्रमेय, समाकल, समीकरण, प्रायिकता
    """,
}
"""Apart by commas and lines."""


def _phrases(kind: Kind) -> list[str]:
    return [phrase.strip() for phrase in _PHRASES[kind].replace("\n", ",").split(",") if phrase.strip()]


WORDS: Final = {word: kind for kind, words in _WORDS.items() for word in words.split()}
STEMS: Final = {stem: kind for kind, stems in _STEMS.items() for stem in stems.split()}
BEGINNING: Final = 3
"""No stem is shorter."""

STEMS_BY_BEGINNING: Final = {
    beginning: tuple((stem, kind) for stem, kind in STEMS.items() if stem.startswith(beginning))
    for beginning in {stem[:BEGINNING] for stem in STEMS}
}
PHRASES: Final = {phrase: kind for kind in KINDS for phrase in _phrases(kind)}
ASCII_PHRASES: Final = {phrase: kind for phrase, kind in PHRASES.items() if phrase.isascii()}
"""What a text of ASCII may have of them."""
