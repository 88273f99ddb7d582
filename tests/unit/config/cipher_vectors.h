/* SPDX-License-Identifier: MIT */
/*
 * Encrypted texts that this library did not make: Python's hashlib.pbkdf2_hmac, `openssl enc` and
 * `openssl pkeyutl` did. The key is for these tests only.
 */
#ifndef CIPHER_VECTORS_H
#define CIPHER_VECTORS_H

static const char rsa_key_lines[] =
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIIEowIBAAKCAQEAzicAZoQbK/Fmrrt2FjkQi94+GnOXFFpfaU2490puyYiCB5QS\n"
    "bTioMUuDp/DofjxHJ7SYK1wfo/eGe8MHSxG0te7LoLOoXpNOqMgKDd3L9BI8pJuJ\n"
    "doXroii4R58ZqaVkq/sozyzy1pMNQqmpYLc4bRmsLTHr9+5qbOTHP1XnQi7qpWgH\n"
    "Zwo2Z90Vugy+0brwBbBbAZTXdDCMs3XUBHxkCyU2n1GX2d5XhHiU/GLtKySvcE1P\n"
    "PsmdVwHOgECnwruPmrRZveBgLdFbEjod3elHts1MROiZjmCtPB7h8E9Fs8pAoejF\n"
    "MbCkWkND/eHyFbDKa00E8sj49yf8xuSL4A4LuQIDAQABAoIBAA8WnQQ5KGFKT9ZQ\n"
    "yM8jlL8dSwpV6iQxNnPXSRxrCY9ykEx3B/TlMATmSVfiCAIv7ef4DdMj8Po9RE3h\n"
    "SQgI3w3Ee97ih1uKCI3N5lPRfKX717hshzPHkCbUOCNLKm5XjqC6cegymqtzI9tR\n"
    "3ksX3edjo6MYg57Sh7OPTbioVD7BsrBpWa0pTxSZXIHP9KwuuD7Fpt/2IGlnBQc/\n"
    "dP6ERnY+i8cglnT3KNEb3kT0xaIgKR+PurpnhPik+LupsUQmw9SSNs8QXaHc7dC4\n"
    "VLJ1Mk/3eFX36upD3p0XMfcdJaTMvpx7+0nelx71hol1tq5xYlvs7kyGr59LL0PZ\n"
    "G61eCaECgYEA56NwZZv985629TyalEaKUxNtXXjVhnWNdi/mP25/WbQdLmc/d4+n\n"
    "vrAGpz1CA7e3NuRQOKzWy16huasb6fGZjgubhTWxI4Hyt4+EITuSdn/0B/3Zi28Y\n"
    "04ZShjm3OkJXWuK7nBEtxLZG/u42m9XZHGd/0vtDYUTMO9FRtjwfhn0CgYEA49Vi\n"
    "FV26cu5FagHi9x9zIBY0B6jbwrv9cFb9DEeAdQ2TU+FOfhFXRXNzxscdNzeOmcIP\n"
    "ifMj/WesZhBlxKgbbLoBIZoN5Y8FDAdPi/sCxWkinfhFRJX4WlEv/2/oYU0Zw8Xw\n"
    "ywZv9pQL6pljGffTFSnNt4dR/kaUDCgKw+580u0CgYBSY3GA0oD6+8K7azjX8FcW\n"
    "wVwu2OGpl3ofRV4xxY2KTGPss1CBqBjT3Cwho8otJFUIMyDNZ7xmTVxce53MEeC6\n"
    "AyrnsHc21+uKmoM2hsfLWitkBEgyLeu4oJgNoc2n7RzA+NAd7IZI50RNPFE0EFXO\n"
    "ool2c2Q93oh95i+YD75uyQKBgQCbu5bQ3gF9YAtIm8OFghTSgPrNpYmaAaAKMxvD\n"
    "UfinikEDXAWoPLg3u+QOoroArVQnG7Q9alpWc5AvL9QwaWxdlIMDcec/29PqVfD0\n"
    "0P4i7GuCKVtHt29MZSR26Qqhv+71mA6w6FSN6sJ+eJx5+qFpXOrGIZRVR+8YpCI/\n"
    "rXvbPQKBgHvVkpm4CqeyRR1n3shPw93NadqG0wTjbXAr/xZJp8YpYSixBuR+7g7k\n"
    "cMyycZszjY9TwtS6uufcdIuSEvyU/f+QfhjnPDYLjtRlm4Mxld08etwsLojoJE4v\n"
    "miV7MS4qqODvIXHxp/WNC3Tqd00z3ziR20X5uqJ0TVhd77s4RsrH\n"
    "-----END RSA PRIVATE KEY-----\n";

/* The same key as PKCS#8. */
static const char rsa_key_pkcs8[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDOJwBmhBsr8Wau\n"
    "u3YWORCL3j4ac5cUWl9pTbj3Sm7JiIIHlBJtOKgxS4On8Oh+PEcntJgrXB+j94Z7\n"
    "wwdLEbS17sugs6hek06oyAoN3cv0Ejykm4l2heuiKLhHnxmppWSr+yjPLPLWkw1C\n"
    "qalgtzhtGawtMev37mps5Mc/VedCLuqlaAdnCjZn3RW6DL7RuvAFsFsBlNd0MIyz\n"
    "ddQEfGQLJTafUZfZ3leEeJT8Yu0rJK9wTU8+yZ1XAc6AQKfCu4+atFm94GAt0VsS\n"
    "Oh3d6Ue2zUxE6JmOYK08HuHwT0WzykCh6MUxsKRaQ0P94fIVsMprTQTyyPj3J/zG\n"
    "5IvgDgu5AgMBAAECggEADxadBDkoYUpP1lDIzyOUvx1LClXqJDE2c9dJHGsJj3KQ\n"
    "THcH9OUwBOZJV+IIAi/t5/gN0yPw+j1ETeFJCAjfDcR73uKHW4oIjc3mU9F8pfvX\n"
    "uGyHM8eQJtQ4I0sqbleOoLpx6DKaq3Mj21HeSxfd52OjoxiDntKHs49NuKhUPsGy\n"
    "sGlZrSlPFJlcgc/0rC64PsWm3/YgaWcFBz90/oRGdj6LxyCWdPco0RveRPTFoiAp\n"
    "H4+6umeE+KT4u6mxRCbD1JI2zxBdodzt0LhUsnUyT/d4Vffq6kPenRcx9x0lpMy+\n"
    "nHv7Sd6XHvWGiXW2rnFiW+zuTIavn0svQ9kbrV4JoQKBgQDno3Blm/3znrb1PJqU\n"
    "RopTE21deNWGdY12L+Y/bn9ZtB0uZz93j6e+sAanPUIDt7c25FA4rNbLXqG5qxvp\n"
    "8ZmOC5uFNbEjgfK3j4QhO5J2f/QH/dmLbxjThlKGObc6Qlda4rucES3Etkb+7jab\n"
    "1dkcZ3/S+0NhRMw70VG2PB+GfQKBgQDj1WIVXbpy7kVqAeL3H3MgFjQHqNvCu/1w\n"
    "Vv0MR4B1DZNT4U5+EVdFc3PGxx03N46Zwg+J8yP9Z6xmEGXEqBtsugEhmg3ljwUM\n"
    "B0+L+wLFaSKd+EVElfhaUS//b+hhTRnDxfDLBm/2lAvqmWMZ99MVKc23h1H+RpQM\n"
    "KArD7nzS7QKBgFJjcYDSgPr7wrtrONfwVxbBXC7Y4amXeh9FXjHFjYpMY+yzUIGo\n"
    "GNPcLCGjyi0kVQgzIM1nvGZNXFx7ncwR4LoDKuewdzbX64qagzaGx8taK2QESDIt\n"
    "67igmA2hzaftHMD40B3shkjnRE08UTQQVc6iiXZzZD3eiH3mL5gPvm7JAoGBAJu7\n"
    "ltDeAX1gC0ibw4WCFNKA+s2liZoBoAozG8NR+KeKQQNcBag8uDe75A6iugCtVCcb\n"
    "tD1qWlZzkC8v1DBpbF2UgwNx5z/b0+pV8PTQ/iLsa4IpW0e3b0xlJHbpCqG/7vWY\n"
    "DrDoVI3qwn54nHn6oWlc6sYhlFVH7xikIj+te9s9AoGAe9WSmbgKp7JFHWfeyE/D\n"
    "3c1p2obTBONtcCv/FkmnxilhKLEG5H7uDuRwzLJxmzONj1PC1Lq659x0i5IS/JT9\n"
    "/5B+GOc8NguO1GWbgzGV3Tx63CwuiOgkTi+aJXsxLiqo4O8hcfGn9Y0LdOp3TTPf\n"
    "OJHbRfm6onRNWF3vuzhGysc=\n"
    "-----END PRIVATE KEY-----\n";

static const char rsa_public_key[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAzicAZoQbK/Fmrrt2FjkQ\n"
    "i94+GnOXFFpfaU2490puyYiCB5QSbTioMUuDp/DofjxHJ7SYK1wfo/eGe8MHSxG0\n"
    "te7LoLOoXpNOqMgKDd3L9BI8pJuJdoXroii4R58ZqaVkq/sozyzy1pMNQqmpYLc4\n"
    "bRmsLTHr9+5qbOTHP1XnQi7qpWgHZwo2Z90Vugy+0brwBbBbAZTXdDCMs3XUBHxk\n"
    "CyU2n1GX2d5XhHiU/GLtKySvcE1PPsmdVwHOgECnwruPmrRZveBgLdFbEjod3elH\n"
    "ts1MROiZjmCtPB7h8E9Fs8pAoejFMbCkWkND/eHyFbDKa00E8sj49yf8xuSL4A4L\n"
    "uQIDAQAB\n"
    "-----END PUBLIC KEY-----\n";

static const char rsa_mysecret[] =
    "AQAoUXvtKOclXeA8WnzmUCp1kQZ5reDRsJrXs6dGJ9t8CAvGqpVMMcLdUVxEYJUa37oK3IVg0ep0tzkUoTR8xIhF"
    "U1utILEkXCol012XXRimShCFFrg4EpWvbraoc1yhCh7hcok1D2FlYrsdEaHIgZ1Ndwk1x7v6BLXzmhN0qZIrEfGe"
    "nVE7Zy3cYJg8z1eJrYGWuKiM/eGIhVTFYFJsI0X3LPQB40GgEDTe0ao3fLyn4dNYHyMnyINBu+tajDcEHoJ22jyS"
    "PxWb4Dt9kUczubxFC3abvSzfZpTf3Kbop5gh3KMF9iHs6Js0uHglfNFiPPSl6pf0I2ORBarO9+37waTvfK3Th1Po"
    "gl+ZemJR47rOt+x9sf7Hs6ALUStJkb/yJx0=";

static const char rsa_oaep_greetings[] = /* "Gr\xc3\xbc\xc3\x9f" "e" */
    "AQBLOzA2SDDtOIrB3kghQ35F73ZvExE0gFwa9r/EUnEtu0pGvoRmjp9jl10626NP4osmvHhSoncoZQBY6mAeCaf0"
    "oiw/L95DPGaWgXKVo+llfpourXwm2sVGly9X9OUmV34GgGhjI4nCnXjt0P0fNUlqqSTPdkXPLsy19IwqKmilx5yn"
    "/aS5wW8R0yxGX3+hBNkQ+HOJJjMolXJ026PAs1dL3EaUFyfbodOD1T0KP9MyCPNEhOv4uJpxvCYzTLN5I7j3agme"
    "sl1TS9neeKnUqVA8ykiThaHHkvbyZ6ZcykgY3IZh8cHQ+jdzpPaz0JDfkSZpZLHyD2y/ZBet7hh3GL5vR5QkeXfJ"
    "AEGYidUGoPBE27o4uzWcae0mlRtoxEYgy5Q=";

static const char rsa_salted[] = /* "salted", with the salt 0102 */
    "AQB2UeTn8j723OYJL0GvRRilAyZcWnkyRbiKWV38XSTLop0bpL/jpTrdEr3dfaQKFydX+SuPJh/yyRkQp/X9F1gu"
    "uUIH+2YtbusvV1fQIAdlied/G3SnSFzPw/vYVwsJKGq1A0Rkcd8mizeuWh72JXZpK5H7wPdR0k/p/Uj6loM41c86"
    "qXfgyrx8Tusd/INcar/DIcX96bx2QXYHrqPSxpo+IiirPBhKOvbn16hWGOmjDSxr4QdwCOcNMLpmoVs6Vc/CbyvZ"
    "NajxcOw2Okmipmxn/xsHlp+N6LxgxUdtqLZBYjQxqUqdxAC4Ie0stEfc4GNFHExsOpICvJuqTbxjqfLKymRIAZgs"
    "zw80Zqv9PapjG/QAgcI7RBxaxUTDMcNZj2M=";

/* "mysecret" again, with an RSA part that is right, and such that are wrong in one way each. */
static const char rsa_padded[] =
    "AQAWDS1nbAGzy9ll8i5qs17/h/rKpA9Cy5kgkyY1u4sOaMwgrXN/GTMgnT23DkJyuK7fanDZ6vsPFJ+UIv0jR9Pj"
    "GHJ+3dphinwPUZUZbgv836D9VaxtQKT2RSnaFDBpBJSwGl/EXjpc+zVK0h6baFr+DZ6+EJJ+4FAKxLDAfR20GtPF"
    "xCxkQTA0X/6681SqIt0WUG6fhu9vw0RR8oEODaNTxuzlEvzbFZQx0yXZWt8LtLlhSCv8wLKg7gLikJyxC7OKJTcc"
    "tCdA0KJE5sxxCYajArM0ePZQM8CH/fjizymUxLlx0rWZM/+JEQRBUtJRX49V0dG5uUMtoOyfSuNDm8iKfK3Th1Po"
    "gl+ZemJR47rOt+x9sf7Hs6ALUStJkb/yJx0=";

static const struct {
    const char *what;
    const char *text;
} rsa_badly_padded[] = {
    {"first byte is not 0",
     "AQCtPCqYWbRyty5IDB05RD3zO6rGU5v426xix7I1qZ4GeBuSw5N0w+lv5ROKTSV5jnkQnteT9ievXflzv6pDgPjQ"
     "P5KH2z3WBrhLxqu0KP3sIFYpCrFrVKQSS8HpaAdc//NzhhX9fKL5lhNXivElaSDKLfJLdmq/tKZ1ThqEyizXByiB"
     "MoRwrjEdnIuAMNsL3X/1Z3kqbKwdpK9Aq6YwQvoZnGv7hGJwItM9nEw/J6tRG3TV54BLijIvnfyklA0aAdxVo1jh"
     "Q0Y/w249kepWDnwlnHEOCgvdY/XNG6Kz4Tfd1/tZxOWwMVpXBaWk+HvuDvOUkvtQejGMoOyfYF82oCgrfK3Th1Po"
     "gl+ZemJR47rOt+x9sf7Hs6ALUStJkb/yJx0="},
    {"second byte is not 2",
     "AQCKF67nJprwKLWg4EuoKMhxLPkYu2EWrAV5G9phsbk2IAkvfK6x/kH6sjxXnwo/YlznHA2ALRqck4LJPw6sKqVO"
     "XwGILhwOjBEg2GAuxxvWM3IaGnpJiXJH645DnspfzN9Gu7mq2ix7u8TnMu10HN9H5IDlGUAPMkXplbzJpWIDrz70"
     "pIKabCdbUMa27OtQ0zw/lqBvoa3Mws7bInrjOL93PtSsNbnkcANVVAqHbxYyAvUzN4HClQ6X3X4ytKL358g956i3"
     "4XtWVzVzg+ufEH3MpgEVfOWK2DGFTEMh+oKroYPFHTbG2YL07oMOPIs6NcnfGSAYVDQfGqZk68hd5FzFfK3Th1Po"
     "gl+ZemJR47rOt+x9sf7Hs6ALUStJkb/yJx0="},
    {"0 within the padding",
     "AQCVynkEAHo+yZmr1V5AhwvMOHUzi3VVNRjXkNGVj2BOyJD9u+xFd/QKDpyb++j2jIlwI5GJwT0pABorZ0GUp8U9"
     "9GcQoHrGbfZk0dBLzKI1Z9QBsCN/U2ZdQHUOelpJJ8qaqRTWFObwz0zrO27VbxrAJ8NclPAdAWkyjzSOxvMkerR/"
     "ZRTg3ml4UlTL2wjTBpwLYN+EFoDl6ZR1rReoIR71xs6Pz4d/goOXkk/ge28qnZBuyfdg2s5mGskmwcmbQ4WdYBuX"
     "RtZXZFIBX3bnVavJiE6ZtmJgsJtG4JJ8AfAyX/mf1qWHT4FNlPU+NsAlqEeHKEBJq6qaQaGRFFzW8Me4fK3Th1Po"
     "gl+ZemJR47rOt+x9sf7Hs6ALUStJkb/yJx0="},
    {"no 0 before the secret",
     "AQAwun8OikOcIE2BizMizKLE+MbAWpN7cj0FerCdUfzwl96xj5u5g+S6Cc8G7htw2nd04Pa370aZWDzK6Ps6lgOk"
     "epy933tXxN0JJiMJEoN1mx0zU+7rYTKa+bsnnHZaw66bjquO+W1ddXEB+e4GwTGJRePCTM3EdCnkrh0VpYzu7o0B"
     "yXadpUwSoNA9/qDYLXozT9/qQYx/aI5Frg8Pe5PicNDqbwyAkmkfIES6NqfU3M+sWQTG69UQfGz45bl4Vp2r7MlV"
     "269WSUeXHnb8b0APkstLBGkPqdv1mbJVUwKGANHXc1odFR34XgFf+fUOXTOachOS+/Xhe1jTGKqZgqusfK3Th1Po"
     "gl+ZemJR47rOt+x9sf7Hs6ALUStJkb/yJx0="},
    {"secret of 15 bytes",
     "AQAMuOTa3QfUsCBig4yZcIB0awi0Bw6gA3ypn7f+rXnGy58zMWB+WS5j3HJ7pESsrqAtJb+R40hPU2BNNmfZ28Mt"
     "BpbMmhrNktHUdk8UQOhCEaX/ZAM2w8dcg7gKnr3Q4XRVA4dJKxQCfXnz+/iemXn7ZJjRSer7nJ1bj67CKJ6ygUv/"
     "58HmlesRn4Jr/fY4PtWTpo6y2wZD/m/OaQ38/MT7faX8jhM7V1/bKeJBb4P1T+9IjH89rAF/VQm2cm/MTX7SxDBL"
     "d9R5RxD+/igetaVGyIxrCIywpnMn7nbZZvS0XdZ7hPCse0z6hh07fwfqwi/A3TDpu3cstLsGZZ3KUX/EfK3Th1Po"
     "gl+ZemJR47rOt+x9sf7Hs6ALUStJkb/yJx0="},
};

#endif
