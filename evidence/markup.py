"""Names of HTML and SVG that a drawn-up page may have: whatever is not here is left out."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


HTML = _words("""
    a abbr acronym address area article aside b bdi bdo big blockquote body br button canvas
    caption center cite code col colgroup data datalist dd del details dfn dialog dir div dl
    dt em fieldset figcaption figure font footer form h1 h2 h3 h4 h5 h6 head header hgroup
    hr html i img input ins kbd label legend li main map mark marquee menu meter nav nobr ol
    optgroup option output p picture pre progress q rp rt ruby s samp search section select
    slot small span strike strong sub summary sup table tbody td textarea tfoot th thead
    time title tr tt u ul var video wbr
""")
"""Elements of HTML that are written as they are."""

SVG = _words("""
    a circle clipPath defs desc ellipse feBlend feColorMatrix feComponentTransfer
    feComposite feConvolveMatrix feDiffuseLighting feDisplacementMap feDistantLight
    feDropShadow feFlood feFuncA feFuncB feFuncG feFuncR feGaussianBlur feMerge feMergeNode
    feMorphology feOffset fePointLight feSpecularLighting feSpotLight feTile feTurbulence
    filter foreignObject g image line linearGradient marker mask path pattern polygon
    polyline radialGradient rect stop svg switch symbol text textPath title tspan use view
""")
"""Elements of SVG that are written as they are."""

DROPPED = _words("""
    animate animateMotion animateTransform annotation-xml applet audio base discard embed
    frame frameset handler iframe link listing math meta noembed noframes noscript object
    param plaintext portal script set source style template track xmp
""")
"""Elements left out with all that is in them: it runs, it reaches out, a parser reads it as
raw text, or it means something else where scripts are off."""

VOID = _words("""
    area br col hr img input wbr
""")
"""Elements of HTML that have no end tag."""

ATTRIBUTES = _words("""
    align alignment-baseline alt amplitude azimuth baseFrequency baseline-shift bgcolor bias
    border cellpadding cellspacing checked class clear clip-path clip-rule clipPathUnits
    color color-interpolation color-interpolation-filters cols colspan compact cx cy d
    datetime diffuseConstant dir direction disabled display divisor dominant-baseline dx dy
    edgeMode elevation exponent exportparts face fill fill-opacity fill-rule filter
    filterUnits flood-color flood-opacity font-family font-size font-style font-weight for
    fr fx fy gradientTransform gradientUnits headers height hidden high hspace id
    image-rendering in in2 inert intercept k1 k2 k3 k4 kernelMatrix kernelUnitLength label
    lang lengthAdjust letter-spacing lighting-color limitingConeAngle low marker-end
    marker-mid marker-start markerHeight markerUnits markerWidth mask maskContentUnits
    maskUnits max maxlength media min minlength mode multiple name noshade nowrap numOctaves
    offset opacity open operator optimum order orient overflow paint-order part pathLength
    pattern patternContentUnits patternTransform patternUnits placeholder points popover
    preserveAspectRatio primitiveUnits r radius readonly refX refY required result reversed
    role rotate rows rowspan rules rx ry scale scope seed selected shape shape-rendering
    size slope slot spacing span specularConstant specularExponent spreadMethod start
    startOffset stdDeviation step stitchTiles stop-color stop-opacity stroke
    stroke-dasharray stroke-dashoffset stroke-linecap stroke-linejoin stroke-miterlimit
    stroke-opacity stroke-width style summary surfaceScale tableValues targetX targetY
    text-anchor text-decoration text-rendering textLength title transform transform-origin
    type unicode-bidi valign value values vector-effect viewBox visibility vspace width
    word-spacing wrap writing-mode x x1 x2 xChannelSelector y y1 y2 yChannelSelector z
""")
"""Attributes that shape or draw, and name no place."""
