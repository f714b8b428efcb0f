"""Texts on which tokenizers go wrong, written for this project.

Everything outside ASCII is spelled as an escape, so that no editor can recompose it.
"""

TEXTS = [
    # Nothing, and white space alone.
    "",
    " ",
    "  ",
    "     ",
    "\t",
    "\n",
    "\n\n",
    "\r\n",
    " \n",
    "\n ",
    " \t \n\t",
    # White space around and inside words.
    "word",
    " word",
    "word ",
    "  two before",
    "two after  ",
    "a  b   c    d     e",
    "line one\nline two\n\nline four\n",
    "dos\r\nlines\r\n",
    "tab\tseparated\tvalues",
    "trailing tab\t",
    "no-break\u00a0space, thin\u2009space, ideographic\u3000space, zero\u200bwidth",
    # Punctuation, contractions, case.
    "Hello, world!",
    "I'm sure they'll say it's what we've done, isn't it? You'd know. I'LL SHOUT: DON'T!",
    "\u201cCurly quotes,\u201d she said \u2014 and an ellipsis\u2026",
    "wait...what?!?! (yes) [no] {maybe} <tag> a/b\\c & d | e ^ f ~ g ` h @ i # j $ k % l * m",
    "SCREAMING_SNAKE camelCase PascalCase kebab-case snake_case",
    # Numbers.
    "0 1 12 123 1234 12345 123456 1234567890",
    "3.14159, -2.5e-10, 1,000,000.00, 50%, $19.99, 10/03/2024, 12:34:56, 0xDEADBEEF",
    "2^10 = 1024; 7*8=56; 16 - 3 - 4 = <<16-3-4=9>>9",
    "\u00bd \u00b2\u00b3 \u2460 \u0661\u0662\u0663 \u2167 1\u20442",
    # Prose.
    "The quick brown fox jumps over the lazy dog.",
    "The harbour was quiet that evening. A single gull walked along the wall, looked at the nets "
    "as if it meant to buy them, and flew off. Nobody had told it that the boats were gone.",
    "Speculative decoding lets a small model guess several tokens ahead; a large one checks all "
    "the guesses in one pass. Where the guess holds, time is saved, and where it does not, "
    "nothing is lost but the guess.",
    "Dr. Weber (born 1921 in K\u00f6ln) wrote: \"My na\u00efve r\u00e9sum\u00e9 fits on one "
    'page."',
    "Once upon a time, there was a little girl named Lily. She liked to play outside.",
    # Long runs.
    "a" * 120,
    "=" * 80,
    " " * 70 + "x",
    "ha" * 40,
    "\n" * 12,
    "Donaudampfschifffahrtsgesellschaftskapit\u00e4nspatent",
    # Composed and decomposed.
    "caf\u00e9 \u00c5ngstr\u00f6m \u1ec7",
    "cafe\u0301 A\u030angstro\u0308m e\u0323\u0302",
    "\u212b \u2126 \ufb01 \uff21\uff22\uff23",
    "Z\u0351\u036b\u0343a\u0323\u0310l\u034e\u0347g\u0321o\u0336",
    "\u0301 alone",
    # Other scripts.
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u4eca\u5929\u5929\u6c14\u5f88\u597d\u3002",
    "\u3053\u3093\u306b\u3061\u306f\u4e16\u754c \u30ab\u30bf\u30ab\u30ca \uff76\uff85",
    "\uc548\ub155\ud558\uc138\uc694 \u1112\u1161\u11ab\u1100\u1173\u11af",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645\u060c 2024",
    "mixed \u202eright to left\u202c and \u05d0\u05d1\u05d2 abc",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0395\u03bb\u03bb\u03b7\u03bd\u03b9"
    "\u03ba\u03ac",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e \u0e2a\u0e27\u0e31"
    "\u0e2a\u0e14\u0e35",
    # Emoji: plain, with a skin tone, joined, a flag, a keycap.
    "\U0001f600",
    "\U0001f44b\U0001f3fd hi \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1f7"
    " 1\ufe0f\u20e3 \u2764\ufe0f",
    "text\U0001f680\U0001f680\U0001f680text",
    "\U0001d518\U0001d52b\U0001d526 \U00010348",
    # The text of special tokens, whole and broken.
    "<|eot_id|>",
    "before<|eot_id|>after",
    "<s>",
    "</s> <s>text</s>",
    "<unk> <pad> [INST] hi [/INST]",
    "<|endoftext|><|im_start|>user\nhi<|im_end|>",
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi",
    "<|start_story|>Once<|end_story|>",
    "<|not_a_token|> <s > < s> <|eot_id",
    "<0x0A> <0xFF> \u2581underline\u2581marks \u0120G \u010aC",
    # Code and structure.
    "def f(x: int) -> int:\n    if x > 0:\n\treturn x ** 2\n    return -x  # done\n",
    'for (int i = 0; i < n; ++i) { sum += a[i]; }  // "sum"\r\n',
    '{"key": [1, 2.5, null, true], "nested": {"a": "b\\n"}}',
    "https://example.org/path/to?q=1&r=%20x#frag user@example.org C:\\Temp\\file.txt",
    "SELECT * FROM t WHERE id IN (1,2,3);",
    "# Title\n\n- item *one*\n- item **two**\n\n```\ncode\n```\n",
    # Control characters, the edges of Unicode, the replacement character.
    "nul\x00 bell\x07 escape\x1b delete\x7f",
    "\ufeffmark \ufffd replaced \uffff \U0010ffff \ue000",
    "soft\u00adhyphen line\u2028separator",
]
