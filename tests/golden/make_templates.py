#!/usr/bin/env python3
"""make_templates.py OUT.json -- templates, inputs, and what jinja2 renders with the settings transformers gives it.

Walks every filter, test, method, operator, statement and error that the interpreter of src/text/jinja has. Needs python3-jinja2
(3.1); run again after adding a line, and look at the difference before committing it."""
import copy
import datetime
import json
import sys

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = datetime.datetime(2026, 7, 4, 9, 5, 0)


class Generation(jinja2.ext.Extension):
    """{% generation %}: what the assistant says; here its text passes through."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_pass"), [], [], body).set_lineno(line)

    def _pass(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda format: NOW.strftime(format)
    return env


ENV = environment()


def render(source, inputs):
    inputs = copy.deepcopy(inputs)  # `list|indent` changes the list
    try:
        return {"expected": ENV.from_string(source).render(**inputs)}
    except jinja2.exceptions.TemplateError as e:
        return {"error": f"{type(e).__name__}: {e.message}"}
    except SyntaxError as e:  # of the Python that jinja2 makes: its lines are not the template's
        return {"error": f"SyntaxError: {e.msg}"}
    except Exception as e:
        return {"error": f"{type(e).__name__}: {e}"}


INPUT = {
    "s": "Hello, World", "u": "Élan ß ǆ 你好 😀", "empty": "", "sp": "  two  words \n", "n": 42, "neg": -7, "f": 3.75, "t": True, "no": None,
    "l": [3, 1, 2], "words": ["pear", "Apple", "fig", "apple"], "mixed": [1, "a", None, True, 2.5, [1], {"k": "v"}], "nested": [[1, 2], [3, [4, 5]]],
    "d": {"b": 2, "a": 1, "C": 3}, "deep": {"x": {"y": [{"z": "found"}]}, "items": "shadow", "0": "zero"},
    "people": [{"name": "Bo", "age": 30, "tags": ["x"]}, {"name": "al", "age": 25, "tags": []}, {"name": "Cy", "age": 30}],
    "text": "line one\nline two\r\n\nline four", "html": "<a href='x'>T &amp; \"q\"</a>", "num": "17", "hexs": "ff", "flt": " 2.50 ", "bad": "x1",
}

EXPRESSIONS = {
    "literals": """1 1.0 1e3 1.5e-7 1_000 0x1F 0o17 0b101 1e16 1e15 123456789012345678 0.1 0.1+0.2 1e22 1.7976931348623157e308 5e-324 -0.0 100.0
        true True false none None 'a' "b" 'it\\'s' "tab\\tnl\\nx" 'a' 'b' '\\x41\\u00e9\\U0001F600' '\\101' '\\q' '\\\\é'
        [] [1,] () (1,) (1,2) {} {'a':1,} {'a':{'b':[1,2]}} [1,'a',none,true,2.5] {1:'x',none:2,true:3,2.5:4,(1,2):5}""",
    "arithmetic": """1+2 1-2 2*3 7/2 7//2 7%3 -7//2 -7%3 7//-2 7%-3 2**10 2**-1 2**0.5 -2**2 2**3**2 7.5//2 7.5%2 -7.5//2 -7.5%2 1/3 10/5 1e308*10 n+f t+1 t*5 t/2
        'a'+'b' 'ab'*3 3*'ab' 'ab'*0 'ab'*-1 [1]+[2] [1,2]*2 2*[1] (1,)+(2,) (1,)*2 1~2~'x' 'a'~none~true~1.0 ~1 -n +n - -n +t -t not_a_name~'x'
        1/0 1//0 1%0 1.0/0 1.0//0 1.0%0 0**-1 'a'+1 1+'a' none+1 [1]+(1,) 'a'*'b' 'a'*1.5 'a'-'b' none*2 {}+{} -'a' +none 1+none [1]-[1] 9223372036854775807+0 9223372036854775807*1 -9223372036854775807-1
        '%s-%d' % ('a',3) '%s' % 'x' '%s' % none '%5d|%-5d|%05d' % (1,2,3) '%.2f' % 3.14159 '%x %X %o %#x' % (255,255,8,255) '%e %g %G' % (12345.678,0.00001,1e20) '%r' % 'a' '%c%c' % (65,'b') '%%' % () '%s %s' % ('a',)
        '%s' % ('a','b') '%d' % 'a' '%(a)s-%(b)d' % {'a':1,'b':2} '%(x)s' % {'a':1} '%(x)s' % 'a' '%+d % d' % (1,1) '%.3s|%10s|%-10s|' % ('abcdef','r','l') '%*d' % (5,42) '%y' % 1 '%' % 1 'plain' % () 'plain' % 1 '%s' % [1,2] '%s' % {'a':1} '%d' % 3.99 '%i' % true '%5.1f%%' % 99.5 '%a' % 'é'""",
    "compare": """1==1.0 1==true 'a'=='a' [1,2]==[1,2] (1,2)==[1,2] {'a':1}=={'a':1.0} none==none 1!=2 'a'!=1 1<2 2<=2 3>2 3>=4 1<2<3 1<3<2 1<2>1 'a'<'b' 'B'<'a' [1,2]<[1,3] (1,)<(1,2) true<2 1.5<2
        1<'a' none<1 [1]<1 {}<{} 'a'<none 1 in [1,2] 3 not in [1,2] 'ell' in s 'x' in s 'a' in d 'z' in d 1 in 'a' 1 in 1 'a' in none 1 in (1,) 2 in range(3) none in [none] 1.0 in [1] 'a' in ['A','a'] '' in '' not 1 not not 1 not none not ''
        1 and 2 0 and 2 1 or 2 0 or 2 '' or 'x' none or 0 [] and 1 not 1==2 not 1 in [1] 1 if true else 2 1 if false else 2 1 if false (1 if 0 else 2 if 0 else 3) 'a' if x is defined else 'b' (1 if false)~'x' (1 if false).x""",
    "subscript": """l[0] l[-1] l[5] l[-4] l['0'] l[1:] l[:2] l[::-1] l[::2] l[-2:] l[5:] l[2:1] l[none:none] l[::0] l['a':] s[0] s[-1] s[100] s[1:4] s[::-1] s[-3:] s[:-1] s[8:2:-2] u[0] u[-1] u[2:6] u[::-1] u[7] d['a'] d['z'] d.a d.z d.items d.b deep.x.y[0].z deep['x']['y'][0]['z'] deep.items deep['items'] deep.0 deep['0']
        l.0 l.5 d[1] d[[1]] none.x none['x'] none[0] n.x n[0] f.real n.real n.numerator t.imag 1[0] 'a'[0] 'abc'[1:][0] [1,2,3][1] (1,2,3)[1:] {'a':{'b':1}}.a.b range(10)[2:8:3] range(5)[::-1]|list range(5)[-1] range(3)[7] none[1:] 5[1:] d[1:] x.y x['y'] x[0] x.y.z x[1:] s.nope s['nope'] l.nope l['nope'] d.nope.deeper l[0].nope l[9].nope deep.x.q.r
        s.__class__ s['__class__'] d.__class__.__mro__ l.append l.append(1) d.update({'q':1}) d.pop('a') d.setdefault('q',1) d.clear() l.sort() l.extend([1]) l.insert(0,1) l.remove(1) l.reverse() d.popitem() d._x d.__foo__ s._y undefined_ns.x l[true] l[1.0] mixed[6].k mixed[5][0]""",
    "str_methods": """s.upper() s.lower() s.title() s.capitalize() s.swapcase() s.casefold() u.upper() u.lower() u.title() u.capitalize() u.swapcase() u.casefold() 'ΑΣ ΑΣΑ Σ'.lower() 'ŉ ﬁ ǆ ß'.upper() 'ǆ ﬁ'.title() 'they\\'re bill\\'s'.title() sp.strip() sp.lstrip() sp.rstrip() 'xxaxx'.strip('x') 'xyaxy'.lstrip('yx') 'abc'.rstrip('c') 'a'.strip(none) 'a'.strip(1) '\\u00a0\\u2003a\\u3000'.strip()
        s.split() s.split(',') s.split(', ') s.split('l') s.split('l',1) sp.split() 'a b  c'.split(' ') 'a b  c'.split(none,1) 'a,b,c'.rsplit(',',1) 'a b c'.rsplit(none,1) ' 1 2 3 '.split(none,0) ' 1 2 3 '.split(none,1) ' 1 2 3 '.split(none,3) ' 1 2 3 '.rsplit(none,0) ' 1 2 3 '.rsplit(none,1) ' 1 2 3 '.rsplit(none,4) 'a b c'.rsplit() 'a,b'.split(',',-1) 'a,b,c'.split(sep=',',maxsplit=1) ''.split() ''.split(',') 'a'.split('') 'a'.split(1) text.splitlines() text.splitlines(true) 'a\\n'.splitlines() ''.splitlines() 'a\\x0bb\\x0cc\\x85d\\u2028e'.splitlines()
        'a-b-c'.partition('-') 'a-b-c'.rpartition('-') 'abc'.partition('-') 'abc'.rpartition('-') s.startswith('He') s.startswith(('x','He')) s.startswith('lo',3) s.endswith('ld') s.endswith(('x',)) s.endswith('lo',0,5) s.startswith('') s.startswith(1) s.startswith([1]) s.find('o') s.find('o',5) s.find('z') s.rfind('o') s.rfind('o',0,5) s.index('W') s.index('z') s.rindex('o') s.rindex('z') s.count('l') s.count('') s.count('l',4) u.find('好') u.count('') u.find('')
        s.replace('l','L') s.replace('l','L',1) s.replace('','-') s.replace('','-',3) s.replace('zz','y') s.replace('l','') 'aaa'.replace('aa','b') s.replace('l') s.replace(1,2) ','.join(words) ','.join([]) ','.join('abc') ','.join([1]) ','.join(1) ''.join(d) s.removeprefix('Hello') s.removesuffix('World') s.removeprefix('x') s.removesuffix('')
        'ab'.center(7) 'ab'.center(8,'*') 'abc'.center(8,'*') 'ab'.ljust(5,'.') 'ab'.rjust(5) 'ab'.center(1) 'ab'.center(5,'xx') '42'.zfill(5) '-42'.zfill(5) '+1'.zfill(4) 'a\\tb\\tcc\\td'.expandtabs(4) 'a\\tb'.expandtabs()
        'abc'.isalpha() 'ab1'.isalnum() '12'.isdigit() '12'.isdecimal() '½'.isnumeric() '²'.isdigit() '²'.isdecimal() ' \\t'.isspace() ''.isspace() 'Ab Cd'.istitle() 'AB'.isupper() 'ab1'.islower() '1'.islower() 'a_1'.isidentifier() '1a'.isidentifier() 'a\\n'.isprintable() 'é'.isascii() 'a'.isascii() '你'.isalpha() 'ª'.islower() 'Ⅷ'.isupper()
        '{} {}'.format(1,'a') '{1} {0}'.format('a','b') '{a} {b.x}'.format(a=1,b={'x':2}) '{0[k]} {0[0]}'.format({'k':1,'0':2}) '{:>5}|{:<5}|{:^5}|'.format('a','b','c') '{:05d} {:+d} {:,} {:_}'.format(42,42,1234567,1234567) '{:.2f} {:10.3f}| {:e} {:g} {:%}'.format(3.14159,2.5,12345.678,0.0001,0.25) '{:x} {:X} {:o} {:b} {:#x} {:#b} {:c}'.format(255,255,8,5,255,5,65) '{!r} {!s} {!a}'.format('a','b','é') '{{}}'.format() '{:*^9}'.format('mid') '{:{w}}|'.format('a',w=4) '{:.3}'.format('abcdef') '{}'.format(none) '{:5}|'.format(true) '{:>4}'.format(none) '{' .format() '}'.format() '{0}'.format() '{x}'.format() '{} {0}'.format(1,2) '{:d}'.format('a') '{:s}'.format(1) '{:,.2f}'.format(1234567.891) '{:012,}'.format(1234567) '{:g} {:g} {}'.format(1e10,1e-5,1e16) '{0.__class__}'.format('a') '{a}'.format_map({'a':1}) '{:5.1%}'.format(0.123) '{: d}'.format(5) '{:=+6d}'.format(5) '{:n}'.format(1234) '{:.0f} {:.1f}'.format(2.5,0.25)""",
    "collections": """d.keys() d.values() d.items() d.keys()|list d.values()|list d.items()|list d.get('a') d.get('z') d.get('z',9) d.get() d.copy() d.keys()|length 'a' in d.keys() 2 in d.values() ('a',1) in d.items() l.index(1) l.index(9) l.count(1) l.copy() (1,2,1).count(1) (1,2).index(2) (1,2).index(3) range(5) range(1,5) range(0,10,3) range(5,0,-2)|list range(3)|list range(0) range(1,2,0) range() range(1.5) range(100001)|length range(100000)|length range('a') dict(a=1,b=2) dict([['a',1]]) dict({'x':1},y=2) dict([1]) dict(['ab','cd']) dict(['abc']) 
        namespace(a=1).a namespace({'q':2}).q namespace(a=1) namespace().zz namespace(a=1)['a'] cycler(1,2,3).next() cycler() joiner()() dict mixed nested d people (1,'a',(2,)) [s,u,empty] {'k':"it's",'j':'say "x"','b':"both ' and \\""} ['\\x00\\x1f\\x7f\\n\\\\'] ['\\u200b\\ufeff\\u00ad\\ue000é你😀'] n.bit_length() f.is_integer() {}.keys() {'a':1}.items()|first""",
    "undefined": """x x.y x|default('d') x|default x|d(1) none|default('d') ''|default('d',true) 0|default('d',boolean=true) x is defined x is undefined n is defined x.y is defined l[9] is defined d.q is defined d.q.r is defined (x or 'alt') x==y x!=y x==none x|length x|list x|join x|first x|upper [x] [x]|tojson x|tojson x~'a' x+1 1+x 'a'+x x+'a' x*2 x/2 x%2 -x x<1 1<x x in l 1 in x x() x.y() x|int x|float x|string x|abs x|sum x|sort x|map('upper')|list x|items|list 'a%s' % x x if x else 'no' not x x is none x is string x is iterable x is mapping x is sequence x is callable x is number nope() s.nope() d.nope() l[7]() no.x() caller kwargs varargs loop x|attr('y') x|round x|replace('a','b') x|trim x|e x|safe x|dictsort x|batch(2)|list x|indent x is odd x is lower x is in l x|random x|last x|min x|reverse|list x|unique|list x|format(1) x|wordcount x|title x|truncate(3) x|groupby('a')|list""",
    "filters": """-3|abs f|abs 'a'|abs none|abs people[0]|attr('name') s|attr('upper') s|attr('zz') l|batch(2)|list l|batch(2,'-')|list range(7)|batch(3)|list []|batch(2)|list l|batch(0)|list 'hello WORLD'|capitalize ''|capitalize 5|capitalize 'ab'|center(6) 'ab'|center 'abc'|center(8)|length l|count d|count s|length n|length none|length d|dictsort d|dictsort(true) d|dictsort(false,'value') d|dictsort(reverse=true) d|dictsort(by='zz') {'b':1,'A':2}|dictsort {'b':1,2:3}|dictsort l|dictsort html|e html|escape html|forceescape html|e|e html|safe 1|e none|e (html|e)+'<' '<'~(html|e) (html|e)|length
        1|filesizeformat 0|filesizeformat 999|filesizeformat 1000|filesizeformat 123456789|filesizeformat 123456789|filesizeformat(true) 1e25|filesizeformat 1e30|filesizeformat '1000000'|filesizeformat 'a'|filesizeformat none|filesizeformat -5|filesizeformat l|first []|first s|first ''|first d|first n|first '3.5'|float 'x'|float 'x'|float(1.5) none|float l|float '1e3'|float ' 2 '|float '1_0'|float 'inf'|float 'nan'|float true|float '%s=%d'|format('a',1) '%(a)s'|format(a=1) '%s'|format(1,a=2) '%s'|format
        people|groupby('age') people|groupby('name')|length people|groupby('age')|map(attribute='grouper')|list people|groupby('zz',default='q') words|groupby(0) text|indent text|indent(2) text|indent(2,true) text|indent(2,blank=true) text|indent('>>') ''|indent 'a'|indent(first=true) 5|indent '42'|int '4.7'|int 'x'|int 'x'|int(9) none|int l|int 4.9|int -4.9|int true|int 'ff'|int(0,16) '0xff'|int(0,16) '0b11'|int(0,2) '0o17'|int(0,8) '077'|int(0,0) '1_000'|int '-5'|int ' 7 '|int '1e3'|int 'inf'|int ''|int hexs|int(base=16) d|items|list l|items|list l|join l|join(',') l|join(', ','x') people|join(',',attribute='name') mixed|join('|') 'abc'|join('-') none|join 5|join l|last []|last s|last d|last (l|map('string'))|last s|list d|list none|list 'HeLLo'|lower 5|lower words|map('upper')|list words|map('length')|list people|map(attribute='name')|list people|map(attribute='tags',default='none')|list people|map(attribute='tags.0')|list words|map('replace','p','P')|list words|map('default')|list words|map|list words|map('nope')|list words|map(nope)|list people|map(attribute='a',zz=1)|list l|map('multiply',2)|list nested|map('first')|list nested|map(attribute=0)|list d|map('upper')|list
        html|urlize 'see http://example.com/x?y=1, (www.foo.org) or bar@baz.com. mailto:a@b.co <http://x.y>'|urlize 'http://example.com/abcdefghij'|urlize(15,true) 'x.com y.xyz'|urlize(target='_blank') 'The quick brown fox jumps over the lazy dog'|wordwrap(12) 'well-known long-hyphenated-words-here and-a-b-c'|wordwrap(10) 'well-known words'|wordwrap(6,break_on_hyphens=false) 'abcdefghijklmnop qrs'|wordwrap(5) 'abcdefghijklmnop qrs'|wordwrap(5,false) 'a b c\nd e f'|wordwrap(3,wrapstring='|') text|wordwrap 'a  b   c'|wordwrap(4) 'x -- y--z'|wordwrap(3) ''|wordwrap s|wordwrap(0) people|pprint (people*3)|pprint {'long key number one':'v'*50,'b':[1]*40}|pprint ('word '*30)|pprint ['word '*30]|pprint {1:2,'a':3,none:4}|pprint l|max l|min words|max words|min words|max(true) people|max(attribute='age') []|max []|min mixed|max 'hello'|max l|pprint d|pprint s|pprint [l]|random [5]|random []|random l|reject('odd')|list l|reject('>',1)|list mixed|reject('none')|list mixed|reject|list people|rejectattr('tags')|list people|rejectattr('age','eq',30)|list s|replace('l','L') s|replace('l','L',1) 5|replace(5,6) s|replace('l') l|reverse|list s|reverse d|reverse|list (l|map('string'))|reverse|list n|reverse 42.55|round 42.55|round(1,'floor') 42.45|round(1,'ceil') 2.5|round 3.5|round -2.5|round 42|round 1234|round(-2) 1250|round(-2) 1350.0|round(-2) 2.675|round(2) 1e300|round 'a'|round 1.5|round(0,'zz') 0.5|round 1.005|round(2) 7|round(2,'floor')
        l|select('odd')|list l|select|list mixed|select('string')|list l|select('gt',1)|list l|select('nope')|list l|select(nope)|list l|select('divisibleby',0)|list people|selectattr('tags')|list people|selectattr('tags','defined')|map(attribute='name')|list people|selectattr('age','equalto',30)|map(attribute='name')|join people|selectattr|list people|selectattr('name','in',['Bo'])|list range(7)|slice(3)|list range(7)|slice(3,'-')|list l|slice(0)|list [1,2]|slice(4)|list l|sort l|sort(true) l|sort(reverse=true) words|sort words|sort(case_sensitive=true) people|sort(attribute='age')|map(attribute='name')|list people|sort(attribute='age,name')|map(attribute='name')|list people|sort(attribute='age',reverse=true)|map(attribute='name')|list mixed|sort d|sort 'hello'|sort none|sort 5|string none|string l|string html|striptags 'a <!-- b --> c  <b>d</b>'|striptags l|sum []|sum people|sum(attribute='age') l|sum(start=10) words|sum nested|sum(start=[]) ['a']|sum(start='') 'hello wORLD-foo (bar) [x] {y} <z>'|title u|title 'a\\'b'|title sp|trim 'xxaxx'|trim('x') 5|trim
        'Hello big world out there'|truncate(11) 'Hello big world out there'|truncate(11,true) 'Hello big world out there'|truncate(11,false,'..') 'Hello big world'|truncate(12,leeway=0) 'short'|truncate(2) 'x'|truncate(1) 'abcdefghij'|truncate(4,leeway=0) s|truncate(2,leeway=-1) words|unique|list words|unique(true)|list [1,1.0,true,2]|unique|list people|unique(attribute='age')|map(attribute='name')|list nested|unique|list 'abc'|upper none|upper 'a b&c/d?é'|urlencode {'a':1,'b c':'d&e'}|urlencode [['x','y z']]|urlencode 5|urlencode s|wordcount 'a b-c d_e'|wordcount ''|wordcount {'class':'x','id':none,'d':'<'}|xmlattr {'a':1}|xmlattr(false) {'a b':1}|xmlattr {}|xmlattr
        s|nope s|upper|lower|title s|upper() s|upper(1) s|default(1,2,3) s|default(zz=1) s|center(width=20) s|replace(old='l',new='L') l|join(d='-') s|replace s|batch s|tojson(indent=2,zz=1) [1,2]|first|string|length l|sort|first|string~'x' -1|abs -l[0]|abs (l|length)*2 l|length*2 l|length>2 not l|length 1+l|length s|select('in','lo')|join s|map('upper')|join|length""",
    "tojson": """s|tojson u|tojson u|tojson(ensure_ascii=true) d|tojson people|tojson people|tojson(indent=2) people|tojson(indent=4,sort_keys=true) mixed|tojson mixed|tojson(indent=1) d|tojson(separators=(',',':')) d|tojson(indent=2,separators=(',',': ')) []|tojson(indent=2) {}|tojson(indent=2) [[],{}]|tojson(indent=2) d|tojson(indent='--') d|tojson(indent=0) d|tojson(false,2) none|tojson true|tojson 1.0|tojson 1e100|tojson 'inf'|float|tojson -('inf'|float)|tojson 'nan'|float|tojson html|tojson '\\x00\\x1f\\x7f\\u2028/"\\\\'|tojson {1:2,none:3,true:4,1.5:5}|tojson {(1,2):3}|tojson (1,2)|tojson range(3)|tojson (l|map('string'))|tojson d.items()|tojson namespace(a=1)|tojson d|tojson(sort_keys=true) {1:1,'a':2}|tojson(sort_keys=true) d|tojson(indent=none) d|tojson(indent=-1) '"<&>\\''|tojson d|tojson|length d|tojson(indent=1.5)""",
    "tests": """3 is odd 4 is even 3.0 is odd 'a' is odd 6 is divisibleby 3 6 is divisibleby(4) 6 is divisibleby 0 n is defined 'upper' is filter 'zz' is filter 'odd' is test 'zz' is test none is none 0 is none true is boolean 1 is boolean false is false true is true 1 is true 1 is integer true is integer 1.0 is integer 1.0 is float 1 is float 'ab' is lower 'AB' is upper 'Ab' is lower 1 is lower 'a' is string 1 is string d is mapping l is mapping 1 is number true is number 1.5 is number 'a' is number l is sequence s is sequence d is sequence n is sequence range(3) is sequence d.keys() is sequence l is iterable n is iterable s is iterable range is callable s.upper is callable s is callable none is sameas none 1 is sameas 1 true is sameas true 1 is sameas true 'a' is escaped (s|e) is escaped 1 is in l 9 is in l 'a' is in 'abc' 1 is eq 1 1 is == 1 1 is equalto 2 1 is ne 2 1 is gt 0 1 is greaterthan 5 1 is ge 1 1 is lt 2 1 is lessthan 0 1 is le 1 1 is not odd 2 is not odd n is not defined l is not none 3 is odd and 4 is even not 3 is odd 3 is odd is even s is nope 1 is divisibleby(1,2) 1 is odd(1) s is string and s|length > 3 l is iterable and l is not string none is not none x is not defined and y is not defined 1 is number~'x' 4 is odd or 5 is odd""",
}

# whole templates: each a line of python so that whitespace is exact
TEMPLATES = [
    # whitespace
    "a\n{% if true %}\nb\n{% endif %}\nc\n", "a\n  {% if true %}  \n  b\n  {% endif %}\nc\n\n", "a {%- if true -%} b {%- endif -%} c", "a\n\n{{- 'x' -}}\n\nb", "a  {{ 'x' }}  b",
    "  {%+ if true %}x{%+ endif %}", "{% if true +%}\nx{% endif +%}\ny", "x  {#- c -#}  y", "x\n  {# c #}\ny", "x {# c #} y\n", "{# unclosed", "a\r\nb\rc\r\n", "{{ 'a\r\nb' }}", "\n\n{% set x = 1 %}\n\n{{ x }}\n\n", "\t{% set x=1 %}\t\n",
    "{% raw %}{{ x }} {% if %}{% endraw %}", "a\n  {% raw %}\n  x\n  {% endraw %}\nb", "a {%- raw -%}  x  {%- endraw -%} b", "{% raw %}unclosed", "{%raw%}{%endraw%}", "{{ '{{' }}{{ '%}' }}", "{{ '}}' }}", "{{ {'a': {'b': 1}}['a']['b'] }}", "{{{'a':1}}}", "{{ [1,2][0]}}", "{%if true%}a{%endif%}", "{{1}}{{2}}\n{{3}}", "  {{ 1 }}\n  {{ 2 }}\n", " {%- for i in [1,2] %} {{ i }} {%- endfor %} ", "{% for i in [1,2] -%}\n  {{ i }}\n{%- endfor %}", "", "\n", "\n\n", "x\n\n", "\u00a0\u2003{%- if true %}y{% endif %}", "line\u2028{% if true %}x{% endif %}",
    # if, for
    "{% if 0 %}a{% elif 1 %}b{% else %}c{% endif %}", "{% if 0 %}a{% elif 0 %}b{% elif none %}d{% else %}c{% endif %}", "{% if 1, 2 %}t{% endif %}", "{% if x %}{% else %}e{% endif %}", "{% if l|length > 2 and s %}y{% endif %}",
    "{% for i in l %}{{ i }}{% endfor %}", "{% for i in [] %}x{% else %}empty{% endfor %}", "{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {% endfor %}",
    "{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}", "{% for i in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}", "{% for i in l %}{{ loop.cycle('a','b') }}{% endfor %}", "{% for i in [1,1,2,2,1] %}{{ loop.changed(i) }} {% endfor %}", "{% for i in l %}{{ loop.cycle() }}{% endfor %}",
    "{% for i in l if i > 1 %}{{ i }}{{ loop.index }}{{ loop.last }}{% endfor %}", "{% for i in l if i > 9 %}x{% else %}none{% endfor %}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in d|dictsort %}{{ k }}={{ v }};{% endfor %}", "{% for a, (b, c) in [(1,(2,3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for a, b in [(1,2,3)] %}{% endfor %}", "{% for a, b in [(1,)] %}{% endfor %}", "{% for a, b in [1] %}{% endfor %}", "{% for i in 5 %}{% endfor %}", "{% for i in none %}{% endfor %}", "{% for i in x %}a{% else %}b{% endfor %}", "{% for c in 'aé你' %}{{ c }}|{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for i in range(3) %}{{ i }}{% endfor %}",
    "{% for i in l %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "{% for i in l %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% endfor %}", "{% for i in [1] %}{% continue %}{% else %}E{% endfor %}", "{% for i in [1] %}{% break %}{% else %}E{% endfor %}", "{% for i in [1,2] %}{% for j in [1,2] %}{% if j == 2 %}{% break %}{% endif %}{{ i }}{{ j }}{% endfor %}{% endfor %}", "{% break %}", "{% continue %}", "{% for i in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", "{% if 1 %}{% break %}{% endif %}", "{% for i in [1,2] %}{% set z %}{% break %}{% endset %}{{ i }}{% endfor %}{{ z }}",
    "{% for i in nested recursive %}[{% if i is iterable %}{{ loop(i) }}{% else %}{{ i }}@{{ loop.depth }}{% endif %}]{% endfor %}", "{% for i in [[1,[2]],3] recursive %}{{ loop.index }}{% if i is iterable %}({{ loop(i) }}){% endif %}{% else %}E{% endfor %}", "{% for i in l %}{{ loop(l) }}{% endfor %}", "{% for i in [1,[2,3]] if i recursive %}{{ loop(i) if i is iterable else i }}{% endfor %}", "{% for i in l %}{% for j in l %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}", "{% for i in l %}{% set outer = loop %}{% for j in [1] %}{{ outer.index }}{% endfor %}{% endfor %}", "{% for loop in l %}{% endfor %}", "{% for i in l %}{% set loop = 1 %}{% endfor %}", "{{ loop }}", "{% for i in l %}{{ loop }}{% endfor %}", "{% for x in (l|map('string')) %}{{ loop.length }}{{ x }}{{ loop.revindex }} {% endfor %}", "{% for x in (l|map('string')) %}{{ x }}{{ loop.last }} {% endfor %}",
    "{% set ns = namespace(found=false) %}{% for m in [1,2,3] if not ns.found %}{{ m }}{% set ns.found = true %}{% endfor %}", "{% set ns = namespace(found=false) %}{% for m in [1,2,3,4] if not ns.found %}{{ m }}{{ loop.last }}{% set ns.found = true %}{% endfor %}",
    # set and scope
    "{% set a = 1 %}{{ a }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = [1] %}", "{% set (a, b) = (1, 2) %}{{ a }}{{ b }}", "{% set a = 1, 2 %}{{ a }}", "{% set a %}x{{ n }}y{% endset %}{{ a }}{{ a|length }}", "{% set a | upper | replace('X','Z') %}x{{ n }}{% endset %}{{ a }}", "{% set ns = namespace(a=1) %}{% set ns.b = 2 %}{{ ns.a }}{{ ns.b }}{{ ns }}", "{% set ns.a = 1 %}", "{% set d.a = 1 %}", "{% set ns = namespace() %}{% set ns.t %}block{% endset %}{{ ns.t }}",
    "{% set a = 1 %}{% for i in l %}{% set a = a + i %}{{ a }} {% endfor %}{{ a }}", "{% set a = 1 %}{% if true %}{% set a = 2 %}{% endif %}{{ a }}", "{% if false %}{% set n = 5 %}{% endif %}{{ n }}", "{% for i in l %}{{ n }}{% endfor %}{% set n = 1 %}{{ n }}", "{{ n }}{% set n = 1 %}{{ n }}", "{% macro m() %}{{ n }}{% endmacro %}{{ m() }}{% set n = 1 %}{{ m() }}", "{% macro m() %}{{ q }}{% endmacro %}{{ m() }}{% set q = 1 %}{{ m() }}", "{% for i in [1] %}{% set q = 1 %}{% endfor %}{{ q }}", "{% for i in [1,2] %}{{ q }}{% set q = i %}{{ q }} {% endfor %}", "{% if false %}{% set q = 1 %}{% else %}{% set r = 2 %}{% endif %}{{ q }}{{ r }}", "{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% with a = 1 %}{% with a = a + 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}{% endwith %}", "{% with %}{% set n = 3 %}{{ n }}{% endwith %}{{ n }}", "{% set n = n + 1 %}{{ n }}", "{% set x = x %}{{ x }}", "{% set l = l + [9] %}{{ l }}", "{% for n in l %}{{ n }}{% endfor %}{{ n }}", "{% if true %}{% for i in [1] %}{% set s = 'in' %}{{ s }}{% endfor %}{% endif %}{{ s }}", "{% set true = 1 %}", "{% set 1 = 1 %}", "{% set a.b.c = 1 %}", "{% set [a] = 1 %}", "{% set a = %}", "{% set a %}", "{% if true %}{% set q = 1 %}{% elif false %}{% set q = 2 %}{% else %}{% set q = 3 %}{% endif %}{{ q }}",
    "{% if n == 1 %}{% set v = 'a' %}{% elif n == 42 %}{% set v = 'b' %}{% endif %}{{ v }}", "{% for p in people %}{% if loop.first %}{% set c = p.name %}{% endif %}{{ c }},{% endfor %}", "{% set ns = namespace(l=[]) %}{% for i in l %}{% set ns.l = ns.l + [i * 2] %}{% endfor %}{{ ns.l }}", "{% set f %}{% for i in l %}{{ i }},{% endfor %}{% endset %}{{ f.split(',') }}",
    # macros
    "{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=5, a=4) }} {{ m() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}", "{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}", "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}body{% endcall %}", "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b=9) m() %}{{ a }}{{ b }}{% endcall %}", "{% macro m() %}x{% endmacro %}{% call m() %}body{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{% macro m(x, d=x) %}{{ d }}{% endmacro %}{{ m(3) }}", "{% macro m(a=b, b=1) %}{{ a }}{{ b }}{% endmacro %}{{ m() }}", "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "{% macro f() %}{{ f() }}{% endmacro %}{{ f.name }}{{ f.arguments }}{{ f.catch_kwargs }}{{ f.catch_varargs }}{{ f.caller }}", "{% macro f(a) %} {{ a }} {% endmacro %}{{ f('x')|trim }}{{ f('y')|length }}{{ f is callable }}{{ f }}", "{% macro m(a, a) %}{% endmacro %}", "{% macro m(a=1, b) %}{% endmacro %}", "{% macro m(caller) %}{{ caller }}{% endmacro %}", "{% macro m(caller=1) %}{{ caller }}{% endmacro %}{{ m() }}", "{% for i in [1,2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}", "{{ a() }}{% macro a() %}A{% endmacro %}", "{% macro m(x) %}{% set x = x + 1 %}{{ x }}{% endmacro %}{{ m(1) }}", "{% macro m() %}{% set n = 0 %}{{ n }}{% endmacro %}{{ m() }}{{ n }}", "{% macro m(l) %}{% for i in l %}{{ i }}{{ m2(i) }}{% endfor %}{% endmacro %}{% macro m2(i) %}<{{ i }}>{% endmacro %}{{ m([1,2]) }}", "{{ m(*[1,2], **{'c':3}) }}{% macro m(a,b,c) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(*[1,2], **{'c':3}) }}", "{% macro m(a,b,c) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(*[1,2], **{'c':3}) }}{{ m(1, *[2], c=3) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(**5) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(*5) }}", "{% call s.upper() %}{% endcall %}", "{% call s %}{% endcall %}",
    # filter blocks, with filters, generation, autoescape, block, print
    "{% filter upper %}abc {{ s }}{% endfilter %}", "{% filter replace('a','b')|upper %}aXa{% endfilter %}", "{% filter nope %}x{% endfilter %}", "{% generation %}a{{ n }}{% endgeneration %}b", "{% for m in people %}{% generation %}{{ m.name }}{{ loop.index }}{% endgeneration %}{% endfor %}", "{% generation %}{% set q = 1 %}{{ q }}{% endgeneration %}{{ q }}", "{% autoescape true %}{{ html }}{{ html|safe }}<b>{% endautoescape %}{{ html }}", "{% autoescape false %}{{ html }}{% endautoescape %}", "{% block a %}x{{ n }}{% endblock %}", "{% set q = 1 %}{% block a %}{{ q }}{% endblock a %}", "{% for i in l %}{% block b %}{{ i }}{% endblock %}{% endfor %}", "{% for i in l %}{% block c scoped %}{{ i }}{{ loop.index }}{% endblock %}{% endfor %}", "{% set q = 1 %}{% with q = 2 %}{% block e scoped %}{{ q }}{% endblock %}{% endwith %}{{ q }}", "{% print 1, 2 %}", "{% print s|upper %}", "{% include 'x' %}", "{% import 'x' as y %}", "{% from 'x' import y %}", "{% extends 'x' %}", "{% if false %}{% include 'x' %}{% endif %}ok", "{% do l.append(1) %}", "{% trans %}x{% endtrans %}", "{% debug %}",
    # globals
    "{{ raise_exception('Stop: ' + s) }}", "{{ raise_exception(1) }}", "{{ raise_exception() }}", "{% if s is string %}{{ raise_exception('multi\nline') }}{% endif %}", "{{ strftime_now('%d %b %Y') }}", "{{ strftime_now('%Y-%m-%d %H:%M:%S %A %a %B %j %p %I %y %%') }}", "{{ strftime_now('') }}", "{{ strftime_now(1) }}", "{% set c = cycler('a','b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}", "{% set j = joiner('|') %}{% for i in l %}{{ j() }}{{ i }}{% endfor %}", "{% set range = 5 %}{{ range }}", "{{ namespace is callable }}{{ dict is callable }}",
    # errors of syntax
    "{{ }}", "{{ 1 + }}", "{{ (1 }}", "{{ 1) }}", "{{ [1 }}", "{{ {1} }}", "{{ 'abc }}", "{{ a b }}", "{{ a.1b }}", "{{ a. }}", "{{ a| }}", "{{ a is }}", "{{ @ }}", "{{ a ? b }}", "{{ a = 1 }}", "{% if %}{% endif %}", "{% if true %}", "{% if true %}{% endfor %}", "{% for %}{% endfor %}", "{% for i %}{% endfor %}", "{% for i in %}{% endfor %}", "{% for i in l %}", "{% endif %}", "{% else %}", "{% elif x %}", "{% foo %}", "{% %}", "{%", "{{", "{{ x", "{% if x", "{% set %}", "{% macro %}{% endmacro %}", "{% macro m %}{% endmacro %}", "{% block %}", "{% block a-b %}{% endblock %}", "{% block a %}{% endblock %}{% block a %}{% endblock %}", "{{ f(1, 2=3) }}", "{{ f(a=1, 2) }}", "{{ f(a=1, a=2) }}", "{{ f(**a, b) }}", "{{ f(*a, *b) }}", "{{ s|nope }}", "{% if false %}{{ s|nope }}{% endif %}ok", "{% if true %}{{ s|nope }}{% endif %}", "{{ 1 is nope }}", "{{ 1 if true else s|nope }}", "{% for i in [] %}{{ s|nope }}{% endfor %}", "{{ 'a' 'b' }}", "{{ 1 2 }}", "{{ not }}", "{{ 1 not 2 }}", "{{ x.y.z }}\n\n{{ nope.a }}", "{{ '\\x4' }}", "{{ '\\u12' }}", "{{ a[ }}", "{{ a[1:2:3:4] }}", "{{ l[1,2] }}", "{{ l[1:2,3] }}", "{% with a %}{% endwith %}", "{% call %}{% endcall %}", "{% filter %}{% endfilter %}", "{{ x if }}", "{{ true.x }}", "{{ none() }}", "{{ 5() }}", "{{ 'a'() }}", "{{ (1,2)() }}", "{{ 007 }}", "{{ 1__0 }}", "{{ 0x }}", "{{ .5 }}", "{{ 5. }}", "{{ é }}", "{% set é = 1 %}{{ é }}", "{{ a² }}", "{{ 1;2 }}", "{{ a:b }}", "{{ a!b }}", "{{ `a` }}", "{{ $x }}", "{{ l.0.1 }}", "{{ 1.5.real }}", "{{ 1.real }}", "{{ {}.x }}", "{% elif %}", "{% for i in l %}{% elif %}{% endfor %}", "{% raw %}{% endraw", "{% set a b = 1 %}", "{% set a = 1 b %}", "{% if a %}{% else %}{% else %}{% endif %}", "{% endset %}", "{% for a.b in l %}{% endfor %}", "{% for i in l recursive if i %}{% endfor %}", "{% for (a, b) in d.items() %}{{ a }}{% endfor %}", "{% for a, in [[1]] %}{{ a }}{% endfor %}", "{{ (1, 2, ) }}{{ () }}{{ (1) }}", "{{ 1, 2 }}", "{{ 1, }}", "{{ *a }}", "{{ [*l] }}", "{{ {**d} }}", "{{ l[*a] }}", "{{ lambda: 1 }}", "{{ a := 1 }}", "{{ 1 <> 2 }}", "{{ a && b }}", "{{ !a }}", "{{ 1 == }}", "{{ == 1 }}", "{{ a..b }}", "{{ a.[0] }}", "{{ (a, b) = 1 }}", "{{ x is defined }}{{ x is not defined }}", "{{ x is is y }}",
    # precedence and odd corners
    "{{ -1 ** 2 }}|{{ 2 ** -1 }}|{{ -l[0] }}|{{ -2 | abs }}|{{ (-2) | abs }}|{{ 1 + 2 ~ 3 }}|{{ 1 ~ 2 + 3 }}|{{ 2 * 3 ~ 4 }}|{{ not 1 == 2 }}|{{ 1 < 2 == true }}|{{ 'a' ~ 'b' | upper }}|{{ ('a' ~ 'b') | upper }}|{{ 1 if 0 else 2 ~ 3 }}|{{ true and false or true }}|{{ l | length + 1 }}|{{ 'x' if l else 'y' | upper }}", "{{ 'a' if false }}{{ ('a' if false) is defined }}", "{{ l|map('string')|join(',') }}{{ l|map('string') is iterable }}", "{% set g = l|map('string') %}{{ g|list }}{{ g|list }}", "{{ d.items()|map('first')|list }}", "{{ d|items|list }}", "{{ [d, d]|unique|list }}", "{{ people|map(attribute='name')|map('lower')|sort|join(' ') }}", "{{ [1,2,3]|select('in', [2,3])|list }}", "{{ (l|select)|first }}", "{{ {'a':1,'a':2} }}", "{{ {1:'a',1.0:'b',true:'c'} }}", "{{ ''.join(['a'] * 3) }}", "{{ 'a,b'.split(',')[1] }}", "{{ 'abc'[0]|upper ~ 'abc'[1:] }}", "{{ s.upper().lower().title()[::-1] }}", "{{ (s, n)[0] }}", "{{ [[1,2],[3]]|map('length')|sum }}", "{{ '%s' % (1,) }}{{ '%s' % ((1,2),) }}", "{{ text.split('\n')|length }}", "{{ 'a\\nb'.split('\\n') }}", "{{ \"a\\\nb\" }}", "{{ 1000000 * 1000000 }}", "{{ 0.1 + 0.7 }} {{ 3.0 }} {{ 1e5 }} {{ 1e-5 }} {{ 123456789.123456789 }} {{ 1/3 }} {{ 2/3 }} {{ 1e17 }} {{ 12345678901234567.0 }}", "{{ true + true }}{{ true == 1 }}{{ [true, 1]|unique|list }}", "{{ none }}{{ [none] }}{{ none ~ '' }}",
    "{% for message in people %}{{ '<|' + message['name'] + '|>' }}{% if not loop.last %}{{ '\n' }}{% endif %}{% endfor %}", "{%- for m in people -%}\n    {%- if m.age is defined and m['age'] > 26 -%}\n        {{- m.name -}}\n    {%- elif m.tags -%}\n        t\n    {%- endif -%}\n{%- endfor -%}\n", "{% set tools = none %}{% if tools is not none and tools|length > 0 %}T{% else %}F{% endif %}", "{{ (people|selectattr('age', 'equalto', 25)|list)[0].name }}", "{{ people[0]['name'][0]|upper ~ people[-1].name[1:] }}", "{{ people[1:]|map(attribute='name')|join(', ') }}", "{% for a in [1,2,3] %}{% for b in [1,2] if a != b %}{{ a }}{{ b }} {% endfor %}{% endfor %}", "{{ 'x' * 3 ~ '=' ~ 1 + 1 }}", "{{ deep.x.y|first|attr('z') }}{{ (deep.x.y|first)['z'] }}", "{% set x %}{% endset %}{{ x == '' }}{{ x is string }}", "{{ s is string and s or 'no' }}", "{{ '' is string }}{{ [] is sequence }}{{ {} is mapping }}", "{{ [1,2,3][:-1] + [9] }}", "{{ range(3)|map('string')|list + ['x'] }}",
]


def split(text):
    """Expressions are parted by whitespace outside quotes and brackets; ` and `, `is` and other word operators glue."""
    words, word, depth, quote, i = [], "", 0, None, 0
    while i < len(text):
        c = text[i]
        if quote:
            word += c
            if c == "\\":
                i += 1
                word += text[i]
            elif c == quote:
                quote = None
        elif c in "'\"":
            quote = c
            word += c
        elif c.isspace() and depth == 0:
            if word:
                words.append(word)
            word = ""
        else:
            depth += (c in "([{") - (c in ")]}")
            word += c
        i += 1
    if word:
        words.append(word)
    glue = {"and", "or", "in", "not", "if", "else", "is", "%", "<", "==", ">", "!=", "<=", ">=", "-", "+", "~", "*"}
    tests = set(ENV.tests) | {"nope"}
    out = []
    for i, w in enumerate(words):
        previous = words[i - 1] if i else ""
        joins = bool(out) and (previous in glue or (w in glue and not (w == "not" and previous not in {"is", "and", "or"} and words[i + 1 : i + 2] != ["in"] and words[i + 1 : i + 2] != ["not"] or w in {"-", "~"} and words[i + 1 : i + 2] and False)))
        if not joins and out and previous in tests and i > 1 and words[i - 2] in {"is", "not"} and previous in {"divisibleby", "sameas", "in", "eq", "==", "equalto", "ne", "gt", "greaterthan", "ge", "lt", "lessthan", "le"}:
            joins = True
        if joins:
            out[-1] += " " + w
        else:
            out.append(w)
    return out


def main():
    cases = []
    for group, text in EXPRESSIONS.items():
        for i, expression in enumerate(split(text)):
            source = "{{ " + expression + " }}"
            cases.append({"case": f"{group} {i}", "source": source, **render(source, INPUT)})
    for i, source in enumerate(TEMPLATES):
        cases.append({"case": f"template {i}", "source": source, **render(source, INPUT)})
    hidden = (" at 0x", "<function", "<built-in", "<class", "<bound", "<generator", "recursion")  # addresses differ from run to run
    kept = [c for c in cases if not any(h in c.get("expected", c.get("error", "")) for h in hidden)]
    with open(sys.argv[1], "w") as out:
        out.write('{"inputs": ' + json.dumps(INPUT, ensure_ascii=False) + ',\n"cases": [\n')
        out.write(",\n".join(json.dumps(c, ensure_ascii=False) for c in kept) + "\n]}\n")
    print(f"{len(kept)} cases, {sum('error' in c for c in kept)} of them errors; {len(cases) - len(kept)} left out", file=sys.stderr)


if __name__ == "__main__":
    main()
